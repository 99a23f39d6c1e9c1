"""What a feed is: one kind of event, where it flows, how it is stored, what is derived."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Generic, NamedTuple, TypeVar

from millrace.events import Alert, Event
from millrace.feeds.history import History

E = TypeVar("E", bound=Event)


class Series(NamedTuple):
    """What is compared with what came before: a price of one source never with one of another."""

    source: str
    symbol: str


Meta = Mapping[str, float | str | None]

TIME_FIELD = "timestamp_utc"
"""The field of every feed's documents that holds event time."""


@dataclass(frozen=True)
class Index:
    """A MongoDB index: (field, direction) pairs, direction 1 or -1."""

    keys: tuple[tuple[str, int], ...]
    unique: bool = False


@dataclass(frozen=True, kw_only=True)
class Feed(Generic[E]):
    """A feed names what flows. What the pipeline does with it follows from these fields."""

    name: str
    event_type: type[E]
    topic: str
    partitions: int
    collection: str
    indexes: tuple[Index, ...]
    window: timedelta
    """How far back in event time `derive` looks: the history kept and rebuilt per series."""
    value: Callable[[E], float]
    """The number that the history keeps of an event."""
    stored_value: str
    """Where that number is in the document, with a dot before a part of a field."""
    derive: Callable[[E, History], Meta]
    """Derived values, a pure function of the event and of the events before it in the log."""
    document: Callable[[E, Meta], dict[str, Any]]
    """The stored document, without `_id` and `kafka` position: the processor adds these."""
    alert: Callable[[E, Meta, float], Alert | None] | None = None
    """An alert if the move passes the threshold (a fraction), else None."""
    alert_topic: str | None = None
