"""The one way to make an event: what is minted is what the processor reads, or it is refused."""

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cache
from typing import Any, TypeVar

import msgspec

from millrace.events import Event, reader
from millrace.feeds.base import Feed

E = TypeVar("E", bound=Event)


class Refused(ValueError):
    """These fields are no event of the feed. The text names the field."""


def mint(
    feed: Feed[E],
    source: str,
    *unique: object,
    simulated: bool,
    produced_at: datetime,
    **fields: Any,
) -> E:
    """The event of an observation that a source made; Refused if it is none.

    `unique` is what no other observation of the source has: the id is made of it. `fields` are
    `symbol`, `observed_at` and the feed's own.
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
    """The event with these fields, as the processor reads it; Refused if it would not.

    So is what the feed has a problem with, which the processor reads: it may be in the log from
    before.
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
    """A time as it is part of an id."""
    return f"{time:%Y-%m-%dT%H:%M:%SZ}"


@cache
def _reader(kind: type[E]) -> Callable[[bytes], E]:
    return reader(kind)
