"""From a record's bytes to an event, or to the reason why it is none."""

from collections.abc import Callable
from typing import Any

import msgspec

from millrace.events import Event, timed
from millrace.feeds.base import Feed
from millrace.processor.errors import BadRecord
from millrace.records import Unreadable


def decoder(feed: Feed[Any]) -> Callable[[bytes | None], Any]:
    """A function that decodes values of this feed; it raises BadRecord and nothing else."""
    decode_json = msgspec.json.Decoder(feed.event_type).decode

    def decode(value: bytes | None) -> Event:
        if value is None:
            raise BadRecord("VALUE_CONVERTER", "the record has no value")
        try:
            event: Event = decode_json(value)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            said = value.reason if isinstance(value, Unreadable) else str(error)
            raise BadRecord("VALUE_CONVERTER", said) from None
        try:
            return timed(event, feed.ahead)
        except ValueError as error:
            raise BadRecord("VALUE_CONVERTER", str(error)) from None

    return decode
