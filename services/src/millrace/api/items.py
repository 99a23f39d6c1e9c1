"""Converts a client's item to its event, or reports what is wrong with it."""

import hashlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any, NamedTuple, TypeVar

import msgspec

from millrace.events import Event, is_ahead
from millrace.feeds.base import Feed
from millrace.feeds.minting import Refused, checked
from millrace.parsing import json_text, scalars
from millrace.parsing.json_text import Unreadable

E = TypeVar("E", bound=Event)

SOURCE = "ingest"
SET_HERE = ("schema_version", "feed", "source", "simulated", "produced_at")
TIME_NAMES = ("observed_at", "ts", "timestamp")
LONGEST_ID = 100
DIGEST_CHARACTERS = 32
"""Half of a SHA-256: with feed, source and a client's id it has at most 200 characters."""


class Rejected(Exception):
    """An item that is not a valid event of the feed. The text names the field."""


def source_of(token_id: str) -> str:
    """The source of events that are sent with a token."""
    return f"{SOURCE}:{token_id}"


def read(data: bytes | msgspec.Raw) -> Any:
    """The value of a JSON text; raises Rejected if it is invalid, or has duplicate names."""
    try:
        return json_text.single(json_text.value(data))
    except (Unreadable, ValueError) as error:
        raise Rejected(str(error)) from None


def mint(feed: Feed[E], item: Any, source: str, now: datetime) -> E:
    """The event, as the processor will decode it; raises Rejected if it would not.

    An item has the fields of the feed, `symbol` unless it follows from these, and event time as
    `observed_at`, `ts` or `timestamp`. If the feed's `sent_by` field is missing, it is set to the
    sender's name. The id follows from all of this, or from `event_id` instead of the content, so
    that the same item is the same event, however often it is sent.
    """
    if not isinstance(item, dict):
        raise Rejected("an event is a JSON object")
    for name in SET_HERE:
        if name in item:
            raise Rejected(f"`{name}` is not for the client to set")
    fields, time_name = _with_one_time(feed, item)
    for name, value in fields.items():
        try:
            fields[name] = _understood(feed, name, value)
        except ValueError as error:
            raise Rejected(f"`{time_name if name == 'observed_at' else name}` {error}") from None
    own_id = "event_id" in fields
    fields |= {
        "event_id": fields.get("event_id", SOURCE),
        "schema_version": 1,
        "feed": feed.name,
        "source": source,
        "simulated": False,
        "produced_at": now,
    }
    if feed.sent_by is not None:
        fields.setdefault(feed.sent_by, source.removeprefix(f"{SOURCE}:"))
    if feed.symbol_of is not None:
        symbol = _symbol(feed.symbol_of, fields)
        if fields.setdefault("symbol", symbol) != symbol:
            raise Rejected(f"`symbol` follows from the other fields: it is {symbol}")
    event = _checked(feed, fields, time_name)
    if own_id and len(event.event_id) > LONGEST_ID:
        raise Rejected(f"`event_id` is longer than {LONGEST_ID} characters")
    observed_at = event.observed_at.astimezone(UTC)
    event_id = _event_id(event, observed_at, event.event_id if own_id else None)
    return msgspec.structs.replace(event, event_id=event_id, observed_at=observed_at)


def _symbol(symbol_of: Callable[[Mapping[str, Any]], str], fields: Mapping[str, Any]) -> str:
    """The symbol of unvalidated fields."""
    try:
        return symbol_of(fields)
    except KeyError as error:
        raise Rejected(f"`{error.args[0]}` is missing") from None


def own_fields(event: Event) -> dict[str, Any]:
    """The fields that a feed adds to the envelope."""
    envelope = Event.__struct_fields__
    return {k: v for k, v in msgspec.structs.asdict(event).items() if k not in envelope}


def time_names(feed: Feed[Any]) -> list[str]:
    """The names for event time, except those that are fields of the feed."""
    own = feed.event_type.__struct_fields__
    return [name for name in TIME_NAMES if name == "observed_at" or name not in own]


def _with_one_time(feed: Feed[Any], item: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """The fields with event time as `observed_at`, and the client's name for it."""
    given = [name for name in time_names(feed) if name in item]
    if not given:
        raise Rejected("`observed_at` is missing")
    if len(given) > 1:
        raise Rejected(f"`{given[0]}` and `{given[1]}` are the same: give one")
    fields = {name: value for name, value in item.items() if name != given[0]}
    return {**fields, "observed_at": item[given[0]]}, given[0]


def _understood(feed: Feed[Any], name: str, value: Any) -> Any:
    """Convert a number or a time from any accepted form, or check a name."""
    if name == "observed_at":
        return scalars.time(value)
    kind = numbers(feed).get(name)
    if kind is not None:
        return scalars.number(value, **kind._asdict())
    return scalars.name(value) if isinstance(value, str) else value


class Number(NamedTuple):
    """The kind of a numeric field."""

    whole: bool
    or_null: bool


def numbers(feed: Feed[Any]) -> Mapping[str, Number]:
    """The fields of a feed that are numbers."""
    kind: Any = feed.event_type
    return _numbers(kind)


@cache
def _numbers(kind: type[Event]) -> Mapping[str, Number]:
    described: Any = msgspec.inspect.type_info(kind)
    found = {}
    for field in described.fields:
        kinds = {type(one) for one in getattr(field.type, "types", (field.type,))}
        if kinds & {msgspec.inspect.IntType, msgspec.inspect.FloatType}:
            found[field.name] = Number(
                whole=msgspec.inspect.FloatType not in kinds,
                or_null=msgspec.inspect.NoneType in kinds,
            )
    return found


def _checked(feed: Feed[E], fields: dict[str, Any], time_name: str) -> E:
    try:
        event = checked(feed, fields)
    except Refused as error:
        text = str(error).replace("`$.", "`").replace("`observed_at`", f"`{time_name}`")
        raise Rejected(text) from None
    if is_ahead(event, feed.ahead):
        raise Rejected(
            f"`{time_name}` is more than {feed.ahead.total_seconds():.0f} s ahead of the server's"
            f" clock, which shows {event.produced_at:%Y-%m-%dT%H:%M:%SZ}"
        )
    return event


def _event_id(event: Event, observed_at: datetime, own_id: str | None) -> str:
    """The event id: even with a client's own id, it is for one symbol and observation time."""
    content = own_fields(event) if own_id is None else own_id
    what = [event.feed, event.source, event.symbol, observed_at, content]
    digest = hashlib.sha256(msgspec.json.encode(what, order="sorted")).hexdigest()
    parts = [event.feed, event.source, *([own_id] if own_id is not None else [])]
    return ":".join([*parts, digest[:DIGEST_CHARACTERS]])
