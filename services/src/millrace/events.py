"""The envelope of every event, from the producer to the stored document."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal, TypeVar

import msgspec

Time = Annotated[datetime, msgspec.Meta(tz=True)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
# Wide enough for any market, and narrow enough that no derived number overflows.
Price = Annotated[float, msgspec.Meta(ge=1e-9, le=1e12)]

MILLISECOND = 1000
"""In microseconds: MongoDB stores times in milliseconds, so event times are not finer."""
EARLIEST = datetime(1900, 1, 1, tzinfo=UTC)
LATEST = datetime(2200, 1, 1, tzinfo=UTC)
"""Within these bounds, no window or time zone exceeds the range of a datetime."""
AHEAD = timedelta(days=1)
"""An exchange's day may end after the event was produced."""
CLOCKS = timedelta(minutes=1)
"""How much clocks may differ, for feeds that observe the present."""


class Event(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """One observation of one symbol. A feed adds its own fields in a subclass.

    An id stands for one symbol at one time of observation: events with the same id agree in both.
    Times are aware datetimes in UTC. `observed_at` is event time: when the upstream observed the
    value. `produced_at` is when the producer minted the event.
    """

    event_id: Name
    schema_version: Literal[1]
    feed: str
    source: Name
    simulated: bool
    symbol: Name
    observed_at: Time
    produced_at: Time


E = TypeVar("E", bound=Event)


def timed(event: E) -> E:
    """The event with its time in milliseconds; a ValueError names an impossible time."""
    observed_at = event.observed_at
    if not EARLIEST <= observed_at <= LATEST:
        raise ValueError("`observed_at` is out of range")
    if not EARLIEST <= event.produced_at <= LATEST:
        raise ValueError("`produced_at` is out of range")
    if observed_at.microsecond % MILLISECOND:
        floor = observed_at.microsecond // MILLISECOND * MILLISECOND
        event = msgspec.structs.replace(event, observed_at=observed_at.replace(microsecond=floor))
    return event


def is_ahead(event: Event, ahead: timedelta) -> bool:
    """Whether the event claims to be observed more than `ahead` after it was produced."""
    observed_at = event.observed_at
    return observed_at > event.produced_at and observed_at - event.produced_at > ahead


def reader(kind: type[E]) -> Callable[[bytes], E]:
    """A function that reads events of this kind from JSON; its ValueError describes the problem.

    It is the only definition of a valid event: the processor reads records from Kafka with it, and
    events are minted with it.
    """
    decode = msgspec.json.Decoder(kind).decode

    def read(data: bytes) -> E:
        try:
            event = decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ValueError(str(error)) from None
        return timed(event)

    return read


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """A derived event about a symbol that needs attention."""

    event_id: str
    schema_version: int
    feed: str
    symbol: str
    observed_at: datetime
    kind: str
    value: float
    threshold: float
    cause: str
    """The event_id of the event that raised the alert."""
