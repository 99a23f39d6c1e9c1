"""Keyset pagination of events: a cursor names the last event of a page, not a number of events.

Events that arrive meanwhile do not shift pages: no event is shown twice, and no event that existed
when the first page was read is skipped.
"""

import base64
import binascii
import hashlib
from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from millrace.api.problems import bad_request
from millrace.feeds.base import TIME_FIELD

P = TypeVar("P")
Order = Literal["newest", "oldest"]


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """A query for events in an order. `since` is inclusive, `until` is exclusive."""

    feed: str
    order: Order = "newest"
    symbol: str | None = None
    source: str | None = None
    since: datetime | None = None
    until: datetime | None = None


class Symbols(msgspec.Struct, frozen=True, kw_only=True):
    """A query for the newest event of each symbol; the position is the last shown symbol."""

    feed: str
    symbol: str | None = None


class Position(msgspec.Struct, frozen=True, array_like=True):
    """The position of an event in the order of events; without an id, after all of its time."""

    time: Annotated[datetime, msgspec.Meta(tz=True)]
    event_id: str | None


class _Cursor(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    query: str
    position: msgspec.Raw


def _fingerprint(query: msgspec.Struct) -> str:
    """A digest of the query: a cursor is valid only for its own query."""
    return hashlib.sha256(msgspec.json.encode(query)).hexdigest()[:16]


def encode(query: msgspec.Struct, position: Any) -> str:
    """The cursor that continues a query after a position."""
    place = msgspec.Raw(msgspec.json.encode(position))
    data = msgspec.json.encode(_Cursor(_fingerprint(query), place))
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(query: msgspec.Struct, text: str, kind: type[P]) -> P:
    """Read a cursor; raises a problem if it is not one of ours, or belongs to another query."""
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        cursor = msgspec.json.decode(data, type=_Cursor)
        if cursor.query != _fingerprint(query):
            raise bad_request("The cursor belongs to a query with other parameters.")
        return msgspec.json.decode(cursor.position, type=kind)
    except (binascii.Error, ValueError):
        raise bad_request("The cursor is not one that this API has made.") from None


def mongo_filter(
    query: Query, after: Position | None, last: Position | None = None
) -> dict[str, Any]:
    """The filter for the events of a query after a position, up to `last`.

    Each possible start is a separate condition, with its own bounds in an index.
    """
    common: list[dict[str, Any]] = [
        {name: value}
        for name, value in (("symbol", query.symbol), ("source", query.source))
        if value is not None
    ]
    if query.since is not None:
        common.append({TIME_FIELD: {"$gte": query.since}})
    if query.until is not None:
        common.append({TIME_FIELD: {"$lt": query.until}})
    branches = [
        {"$and": [*common, condition]} if common else condition
        for condition in _range(query.order, after, last)
    ]
    return branches[0] if len(branches) == 1 else {"$or": branches}


def _range(order: Order, after: Position | None, last: Position | None) -> list[dict[str, Any]]:
    """Mutually exclusive conditions for events after one position, up to another."""
    beyond, upto = ("$lt", "$gte") if order == "newest" else ("$gt", "$lte")
    if after and last and after.time == last.time:
        ids = {beyond: after.event_id} | ({upto: last.event_id} if last.event_id else {})
        return [{TIME_FIELD: after.time, "_id": ids}]
    times: dict[str, datetime] = {}
    ends = []
    if after:
        times[beyond] = after.time
        if after.event_id is not None:
            ends.append({TIME_FIELD: after.time, "_id": {beyond: after.event_id}})
    if last:
        times[upto if last.event_id is None else upto.removesuffix("e")] = last.time
        if last.event_id is not None:
            ends.append({TIME_FIELD: last.time, "_id": {upto: last.event_id}})
    return [{TIME_FIELD: times} if times else {}, *ends]


def mongo_sort(query: Query) -> list[tuple[str, int]]:
    """The sort order of a query: by event time, then by id."""
    direction = -1 if query.order == "newest" else 1
    return [(TIME_FIELD, direction), ("_id", direction)]
