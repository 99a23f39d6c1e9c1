"""The definition of a feed: its events, topic, storage and derived values."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Generic, Literal, NamedTuple, TypeVar

from millrace.events import AHEAD, Alert, Event
from millrace.feeds.history import History, Past

E = TypeVar("E", bound=Event)


class Series(NamedTuple):
    """Events that are compared with each other: those of one symbol from one source."""

    source: str
    symbol: str


Meta = Mapping[str, float | str | None]

TIME_FIELD = "timestamp_utc"
"""The field with the event time in every feed's documents."""
CLAIMED_FIELD = "claimed_at"
"""The field with the original time of an event whose time was not believed."""


@dataclass(frozen=True)
class Index:
    """A MongoDB index: (field, direction) pairs, direction 1 or -1."""

    keys: tuple[tuple[str, int], ...]
    sparse: bool = False
    """Whether documents without any of the fields are left out."""
    only_with: str | None = None
    """If set, the index has only documents with this field."""


BY_SYMBOL = Index((("symbol", 1), (TIME_FIELD, -1)))
"""For readers: the newest document of a symbol, from any source."""
BY_SERIES = Index(
    (("source", 1), ("symbol", 1), ("kafka.partition", 1), (TIME_FIELD, -1), ("kafka.offset", 1))
)
"""For derivation: the value of a series at a time, as of a position in the log. The index covers
the query, so that documents of other series are never read."""
BY_TIME = Index(((TIME_FIELD, -1), ("_id", -1)))
"""The order in which the API sorts."""
BY_POSITION = Index((("kafka.partition", 1), ("kafka.offset", 1)))
"""The order of the log, in which streams and verification read."""

# Documents from a named log, which exists once a topic was made again, are read by the same keys
# and the log's name. Until then these indexes are empty.
_NAMED = ("kafka.log", 1)
BY_LOG_SERIES = Index((_NAMED, *BY_SERIES.keys), only_with="kafka.log")
BY_LOG_POSITION = Index((_NAMED, *BY_POSITION.keys), only_with="kafka.log")

BY_CLAIM = Index(((CLAIMED_FIELD, 1),), sparse=True)
"""For finding events whose time was not believed."""


def series_index(log: str) -> list[tuple[str, int]]:
    """The keys of BY_SERIES for a log."""
    return [*(BY_LOG_SERIES if log else BY_SERIES).keys]


def position_index(log: str) -> list[tuple[str, int]]:
    """The keys of BY_POSITION for a log."""
    return [*(BY_LOG_POSITION if log else BY_POSITION).keys]


@dataclass(frozen=True)
class Reference:
    """Documents for lookups by a feed's readers, which the processor keeps as defined here.

    Changed documents are replaced; others in the collection are left alone.
    """

    collection: str
    indexes: tuple[Index, ...]
    documents: tuple[Mapping[str, Any], ...] = field(hash=False)


@dataclass(frozen=True, kw_only=True)
class Feed(Generic[E]):
    """A feed. Its fields define how the pipeline treats its events."""

    name: str
    event_type: type[E]
    topic: str
    partitions: int
    collection: str
    indexes: tuple[Index, ...] = (
        BY_SYMBOL,
        BY_SERIES,
        BY_TIME,
        BY_POSITION,
        BY_CLAIM,
        BY_LOG_SERIES,
        BY_LOG_POSITION,
    )
    window: timedelta
    """How far back in event time `derive` reads."""
    is_one_at_any_time: bool = False
    """Whether events with the same id are equal even if their times differ: the id depends only on
    what the upstream says, the time also on earlier answers."""
    ahead: timedelta = AHEAD
    """How far ahead of Kafka's clock an event's time may be."""
    history: Callable[[timedelta], Past] = History
    """Creates the empty history of a series for `derive`. Of a `History` the processor keeps a few
    values and reads others when needed; of any other kind it keeps the whole window."""
    value: Callable[[E], Any]
    """The value of an event that the history keeps."""
    stored_value: str | tuple[str, ...]
    """The path of that value in the document, in dot notation, or the paths of its parts. A missing
    field is None."""
    derive: Callable[[E, Any], Meta]
    """The derived values, a pure function of the event and the events before it in the log. It is
    called again after a value that the history lacked has been read."""
    document: Callable[[E, Meta], dict[str, Any]]
    """The stored document, without `_id` and `kafka` position, which the processor adds."""
    alert: Callable[[E, Meta, float], Alert | None] | None = None
    """An alert if the move reaches the threshold (a fraction), otherwise None."""
    alert_topic: str | None = None
    problem: Callable[[E], str | None] | None = None
    """The reason not to mint a readable event: its fields contradict each other, or cannot be
    compared. It is not applied to events in the log."""
    symbol_of: Callable[[Mapping[str, Any]], str] | None = None
    """Computes the symbol from an event's own fields; None: every event names its symbol."""
    sent_by: str | None = None
    """The field that is set to the sender's name if a client sends an event without it."""
    is_cached: bool = False
    """Whether Redis keeps the latest event of each symbol. Redis keys contain only the symbol, so
    that at most one feed can be cached."""
    archive_period: Literal["day", "month"] = "day"
    """The period of event time whose events the archive keeps in files of their own. Of a value a
    day, a day is too short: each file would have a few rows."""
    reference: Reference | None = None
    """Reference documents that the processor keeps for the feed."""

    @property
    def stored_fields(self) -> tuple[str, ...]:
        """The document fields that `value_in` needs."""
        stored = self.stored_value
        return (stored,) if isinstance(stored, str) else stored

    def number_in(self, document: Mapping[str, Any]) -> float:
        """The number in a document: the first part of the history's value."""
        return float(_part(document, self.stored_fields[0]))

    def value_in(self, document: Mapping[str, Any]) -> Any:
        """The `value` of the event, read from its stored document."""
        parts = tuple(_part(document, name) for name in self.stored_fields)
        return parts[0] if isinstance(self.stored_value, str) else parts


def _part(document: Any, name: str) -> Any:
    for step in name.split("."):
        document = document.get(step)
    return document


def with_envelope(event: Event, own: Mapping[str, Any], meta: Meta) -> dict[str, Any]:
    """The document of an event: the common fields and the feed's own."""
    return {
        "schema_version": event.schema_version,
        "feed": event.feed,
        "symbol": event.symbol,
        **own,
        "source": event.source,
        "simulated": event.simulated,
        TIME_FIELD: event.observed_at,
        "produced_at": event.produced_at,
        "meta": meta,
    }


def as_shown(document: Mapping[str, Any]) -> dict[str, Any]:
    """A stored document as clients see it, without its position in Kafka."""
    shown = {name: value for name, value in document.items() if name not in ("_id", "kafka")}
    return {"event_id": document["_id"], **shown}
