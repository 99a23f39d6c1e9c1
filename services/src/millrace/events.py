"""The envelope that every event carries, from the producer to the stored document."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec

Time = Annotated[datetime, msgspec.Meta(tz=True)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
# Wide enough for any market, narrow enough that no derived number overflows.
Price = Annotated[float, msgspec.Meta(ge=1e-9, le=1e12)]


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


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """A derived event: something that happened to a symbol and that somebody should look at."""

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
