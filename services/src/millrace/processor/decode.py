"""Decodes a record to an event, or to the reason why it is invalid.

It is unknown whose clock is right, so Kafka's clock decides, whose time each record has. That time
is in the log, so that decisions are the same however often the log is read.
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
"""The timestamp type of records that have the time of Kafka's clock, not of the sender's."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Timestamped(Protocol):
    """The needed attributes of a record."""

    @property
    def value(self) -> bytes | None:
        """The encoded event."""
        ...

    @property
    def timestamp(self) -> int:
        """When the record was appended to the log, in milliseconds since 1970."""
        ...

    @property
    def timestamp_type(self) -> int:
        """Whose clock the timestamp is from."""
        ...


class Taken(NamedTuple):
    """An event as it is processed."""

    event: Any
    claimed_at: datetime | None
    """The event's original time if it was too far ahead and replaced by the time of the log."""


def taker(feed: Feed[Any]) -> Callable[[Timestamped], Taken]:
    """A function that returns the event of a record; it raises only BadRecord.

    A time that is further ahead of the log than the feed allows is not believed: otherwise earlier
    events would never be the latest, or would count as late.
    """
    decode, ahead = decoder(feed), feed.ahead
    last = 0, _EPOCH  # records of a batch have the same time

    def take(record: Timestamped) -> Taken:
        event = decode(record.value)
        if record.timestamp_type != LOG_APPEND_TIME:
            # A record from before topics had log append time: only the sender's clock is known.
            if is_ahead(event, ahead):
                text = f"`observed_at` is more than {ahead.total_seconds():.0f} s"
                raise BadRecord("VALUE_CONVERTER", f"{text} after it was produced")
            return Taken(event, None)
        nonlocal last
        if last[0] != record.timestamp:
            last = record.timestamp, _EPOCH + timedelta(milliseconds=record.timestamp)
        logged_at = last[1]
        claimed_at = event.observed_at
        if claimed_at - logged_at <= ahead:
            return Taken(event, None)
        return Taken(msgspec.structs.replace(event, observed_at=logged_at), claimed_at)

    return take


def decoder(feed: Feed[Any]) -> Callable[[bytes | None], Any]:
    """A function that decodes values of this feed; it raises only BadRecord."""
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
