"""From a record to an event, or to the reason why it is none.

Whose clock is right cannot be told, so one clock decides: Kafka's, whose time each record has. It
is in the log, so that what is decided stays the same however often the log is read.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, Protocol

import msgspec

from millrace.clients.records import Unreadable
from millrace.events import Event, is_ahead, reader
from millrace.feeds.base import Feed
from millrace.processor.errors import BadRecord

LOG_APPEND_TIME = 1
"""The type of a record's time that is that of Kafka's clock, and not that of the sender's."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Timestamped(Protocol):
    """What is needed of a record."""

    @property
    def value(self) -> bytes | None:
        """What should be an event."""
        ...

    @property
    def timestamp(self) -> int:
        """When it came into the log, in milliseconds since 1970."""
        ...

    @property
    def timestamp_type(self) -> int:
        """Whose clock that is of."""
        ...


class Taken(NamedTuple):
    """An event as it is taken."""

    event: Any
    claimed_at: datetime | None
    """The time that it gave, where that was too far ahead: it has the time of the log instead."""


def taker(feed: Feed[Any]) -> Callable[[Timestamped], Taken]:
    """A function that takes the event of a record; it raises BadRecord and nothing else.

    A time that is further ahead of the log than the feed allows is not believed: as it is, nothing
    that comes before it would be the latest, or in time.
    """
    decode, ahead = decoder(feed), feed.ahead

    def take(record: Timestamped) -> Taken:
        event = decode(record.value)
        if record.timestamp_type != LOG_APPEND_TIME:
            # Of the time before topics had the time of the log: only the sender's clock is known.
            if is_ahead(event, ahead):
                text = f"`observed_at` is more than {ahead.total_seconds():.0f} s"
                raise BadRecord("VALUE_CONVERTER", f"{text} after it was produced")
            return Taken(event, None)
        logged_at = _EPOCH + timedelta(milliseconds=record.timestamp)
        claimed_at = event.observed_at
        if claimed_at - logged_at <= ahead:
            return Taken(event, None)
        return Taken(msgspec.structs.replace(event, observed_at=logged_at), claimed_at)

    return take


def decoder(feed: Feed[Any]) -> Callable[[bytes | None], Any]:
    """A function that decodes values of this feed; it raises BadRecord and nothing else."""
    read = reader(feed.event_type)

    def decode(value: bytes | None) -> Event:
        if value is None:
            raise BadRecord("VALUE_CONVERTER", "the record has no value")
        try:
            event: Event = read(value)
        except ValueError as error:
            said = value.reason if isinstance(value, Unreadable) else str(error)
            raise BadRecord("VALUE_CONVERTER", said) from None
        return event

    return decode
