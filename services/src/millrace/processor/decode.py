"""From a record's bytes to an event, or to the reason why it is none."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from millrace.events import Event
from millrace.feeds.base import Feed
from millrace.processor.errors import BadRecord

MILLISECOND = 1000
"""Microseconds: MongoDB keeps times in milliseconds, so event time has no finer resolution."""
EARLIEST = datetime(1900, 1, 1, tzinfo=UTC)
LATEST = datetime(2200, 1, 1, tzinfo=UTC)
"""Between these, no window and no time zone leaves what a datetime can hold."""
AHEAD = timedelta(days=1)
"""An exchange's day may end after the event was made. More would move the window of its series
for good, past everything that is to come."""


def decoder(feed: Feed[Any]) -> Callable[[bytes | None], Any]:
    """A function that decodes values of this feed; it raises BadRecord and nothing else."""
    decode_json = msgspec.json.Decoder(feed.event_type).decode

    def decode(value: bytes | None) -> Event:
        if value is None:
            raise BadRecord("VALUE_CONVERTER", "the record has no value")
        try:
            event: Event = decode_json(value)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise BadRecord("VALUE_CONVERTER", str(error)) from None
        observed_at = event.observed_at
        if not (EARLIEST <= observed_at <= LATEST and EARLIEST <= event.produced_at <= LATEST):
            raise BadRecord("VALUE_CONVERTER", "a time is out of range")
        if observed_at > event.produced_at and observed_at - event.produced_at > AHEAD:
            raise BadRecord("VALUE_CONVERTER", "it was observed after it was produced")
        if observed_at.microsecond % MILLISECOND:
            floor = observed_at.microsecond // MILLISECOND * MILLISECOND
            event = msgspec.structs.replace(
                event, observed_at=observed_at.replace(microsecond=floor)
            )
        return event

    return decode
