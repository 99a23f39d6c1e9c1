"""The only way to make events, which refuses what the processor would not read."""

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cache
from typing import Any, TypeVar

import msgspec

from millrace.events import Event, reader
from millrace.feeds.base import Feed

E = TypeVar("E", bound=Event)


class Refused(ValueError):
    """The fields are not a valid event of the feed. The text names the field."""


def mint(
    feed: Feed[E],
    source: str,
    *unique: object,
    simulated: bool,
    produced_at: datetime,
    **fields: Any,
) -> E:
    """The event of a source's observation; raises Refused if it is invalid.

    `unique` distinguishes the observation from all others of the source, and the id is made of it.
    `fields` are `symbol`, `observed_at` and the feed's own.
    """
    envelope = {
        "event_id": ":".join((feed.name, source, *map(str, unique))),
        "schema_version": 1,
        "feed": feed.name,
        "source": source,
        "simulated": simulated,
        "produced_at": produced_at,
    }
    return checked(feed, envelope | fields)


def checked(feed: Feed[E], fields: Mapping[str, Any]) -> E:
    """The event with these fields, as the processor reads it; raises Refused if it would not.

    Events with a `problem` of the feed are refused too, although the processor reads them: older
    ones may be in the log.
    """
    try:
        given = msgspec.convert(fields, feed.event_type, strict=True)
        event: E = _reader(feed.event_type)(msgspec.json.encode(given))
    except (msgspec.ValidationError, RecursionError, ValueError) as error:
        raise Refused(str(error)) from None
    if feed.problem and (said := feed.problem(event)):
        raise Refused(said)
    return event


def second(time: datetime) -> str:
    """The form of a time in an id."""
    return f"{time:%Y-%m-%dT%H:%M:%SZ}"


@cache
def _reader(kind: type[E]) -> Callable[[bytes], E]:
    return reader(kind)
