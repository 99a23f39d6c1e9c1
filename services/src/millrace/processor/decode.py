"""From a record's bytes to an event, or to the reason why it is none."""

from collections.abc import Callable
from typing import Any

from millrace.events import Event, reader
from millrace.feeds.base import Feed
from millrace.processor.errors import BadRecord
from millrace.records import Unreadable


def decoder(feed: Feed[Any]) -> Callable[[bytes | None], Any]:
    """A function that decodes values of this feed; it raises BadRecord and nothing else."""
    read = reader(feed.event_type, feed.ahead)

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
