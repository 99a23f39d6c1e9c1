"""What a feed is: one kind of event, where it flows, how it is stored, what is derived."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Generic, NamedTuple, TypeVar

from millrace.events import AHEAD, Alert, Event
from millrace.feeds.history import History, Past

E = TypeVar("E", bound=Event)


class Series(NamedTuple):
    """What is compared with what came before: a price of one source never with one of another."""

    source: str
    symbol: str


Meta = Mapping[str, float | str | None]

TIME_FIELD = "timestamp_utc"
"""The field of every feed's documents that holds event time."""
CLAIMED_FIELD = "claimed_at"
"""Where the time that an event gave was not believed: that time."""


@dataclass(frozen=True)
class Index:
    """A MongoDB index: (field, direction) pairs, direction 1 or -1."""

    keys: tuple[tuple[str, int], ...]
    sparse: bool = False
    """Without the documents that have none of the fields."""
    only_with: str | None = None
    """Of the documents that have this field alone."""


BY_SYMBOL = Index((("symbol", 1), (TIME_FIELD, -1)))
"""What readers ask for: the newest of a symbol, whatever its source."""
BY_SERIES = Index(
    (("source", 1), ("symbol", 1), ("kafka.partition", 1), (TIME_FIELD, -1), ("kafka.offset", 1))
)
"""What deriving asks for: what a series held at a time, as of a position in the log. Everything
that is asked is in the index, so that what another series holds is never read."""
BY_TIME = Index(((TIME_FIELD, -1), ("_id", -1)))
"""How the API sorts."""
BY_POSITION = Index((("kafka.partition", 1), ("kafka.offset", 1)))
"""The order of the log, in which streams go on and in which everything is verified."""

# What of a topic that was made again comes from a log that has a name, is asked for by the same
# and the name. As long as there is no such log they are empty.
_NAMED = ("kafka.log", 1)
BY_LOG_SERIES = Index((_NAMED, *BY_SERIES.keys), only_with="kafka.log")
BY_LOG_POSITION = Index((_NAMED, *BY_POSITION.keys), only_with="kafka.log")

BY_CLAIM = Index(((CLAIMED_FIELD, 1),), sparse=True)
"""Whether there is an event whose time was not believed."""


def series_index(log: str) -> list[tuple[str, int]]:
    """The keys of BY_SERIES, for a log."""
    return [*(BY_LOG_SERIES if log else BY_SERIES).keys]


def position_index(log: str) -> list[tuple[str, int]]:
    """The keys of BY_POSITION, for a log."""
    return [*(BY_LOG_POSITION if log else BY_POSITION).keys]


@dataclass(frozen=True)
class Reference:
    """Documents that a feed's readers look things up in: the processor keeps them as they are here.

    Those of them that change are replaced; what else is in the collection is left alone.
    """

    collection: str
    indexes: tuple[Index, ...]
    documents: tuple[Mapping[str, Any], ...] = field(hash=False)


@dataclass(frozen=True, kw_only=True)
class Feed(Generic[E]):
    """A feed names what flows. What the pipeline does with it follows from these fields."""

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
    """How far back in event time `derive` looks."""
    is_one_at_any_time: bool = False
    """Whether events of one id say the same although their times differ: the id is made of what
    the upstream says, and the time also of what was told before it."""
    ahead: timedelta = AHEAD
    """How far ahead of Kafka's clock the time of an event is believed."""
    history: Callable[[timedelta], Past] = History
    """Makes the empty history of a series, of the kind that `derive` looks into. Of a `History` the
    processor keeps little and asks for what is needed; of any other it keeps the whole window."""
    value: Callable[[E], Any]
    """What the history keeps of an event."""
    stored_value: str | tuple[str, ...]
    """Where that is in the document, with a dot before a part of a field; where its parts are. What
    a document does not have is None."""
    derive: Callable[[E, Any], Meta]
    """Derived values, a pure function of the event and of the events before it in the log. It may
    be called again, when something that the history lacks has been asked for."""
    document: Callable[[E, Meta], dict[str, Any]]
    """The stored document, without `_id` and `kafka` position: the processor adds these."""
    alert: Callable[[E, Meta, float], Alert | None] | None = None
    """An alert if the move passes the threshold (a fraction), else None."""
    alert_topic: str | None = None
    problem: Callable[[E], str | None] | None = None
    """Why an event that can be read should not be made: one field contradicts another, or could not
    be compared. It is not asked of what is in the log."""
    symbol_of: Callable[[Mapping[str, Any]], str] | None = None
    """The symbol that follows from an event's own fields; None: every event names its symbol."""
    sent_by: str | None = None
    """The field that is the name of the sender in an event that a client sends without it."""
    is_cached: bool = False
    """Whether Redis keeps the latest event of each symbol. Its keys name the symbol alone, so that
    one feed at most can say so."""
    reference: Reference | None = None
    """What the processor keeps beside the feed's documents."""

    @property
    def stored_fields(self) -> tuple[str, ...]:
        """The fields that `value_in` needs."""
        stored = self.stored_value
        return (stored,) if isinstance(stored, str) else stored

    def number_in(self, document: Mapping[str, Any]) -> float:
        """The number of a document: the first of what the history keeps."""
        return float(_part(document, self.stored_fields[0]))

    def value_in(self, document: Mapping[str, Any]) -> Any:
        """What `value` said of the event whose stored document this is."""
        parts = tuple(_part(document, name) for name in self.stored_fields)
        return parts[0] if isinstance(self.stored_value, str) else parts


def _part(document: Any, name: str) -> Any:
    for step in name.split("."):
        document = document.get(step)
    return document


def with_envelope(event: Event, own: Mapping[str, Any], meta: Meta) -> dict[str, Any]:
    """The document of an event: what every feed stores, around what is the feed's own."""
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
    """A stored document as it is shown: its place in Kafka is not for outside."""
    shown = {name: value for name, value in document.items() if name not in ("_id", "kafka")}
    return {"event_id": document["_id"], **shown}
