"""The envelope that every event carries, from the producer to the stored document."""

from datetime import datetime

import msgspec


class Event(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One observation of one symbol. A feed adds its own fields in a subclass.

    Times are aware datetimes in UTC. `observed_at` is event time: when the upstream observed the
    value. `produced_at` is when the producer minted the event.
    """

    event_id: str
    schema_version: int
    feed: str
    source: str
    simulated: bool
    symbol: str
    observed_at: datetime
    produced_at: datetime


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
