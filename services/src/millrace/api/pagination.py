"""Pages of events by key: a cursor names the last event of a page, not a count of events.

Events that arrive meanwhile shift nothing: no event is shown twice, and none is skipped that was
there when the first page was read.
"""

import base64
import binascii
import hashlib
from datetime import datetime
from typing import Any, Literal

import msgspec

from millrace.api.problems import bad_request
from millrace.feeds.base import TIME_FIELD

Order = Literal["newest", "oldest"]


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """Which events, and in which order. `since` is inclusive, `until` is not."""

    feed: str
    order: Order = "newest"
    symbol: str | None = None
    source: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def fingerprint(self) -> str:
        """Equal for equal queries: a cursor is good for the query that it came from."""
        return hashlib.sha256(msgspec.json.encode(self)).hexdigest()[:16]


class Position(msgspec.Struct, frozen=True, array_like=True):
    """The place of an event in the order of events."""

    time: datetime
    event_id: str


class _Cursor(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    query: str
    position: Position


def encode(query: Query, position: Position) -> str:
    """Make the cursor that continues a query after a position."""
    data = msgspec.json.encode(_Cursor(query.fingerprint(), position))
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(query: Query, text: str) -> Position:
    """Read a cursor; it is a problem if it is not one of ours, or belongs to another query."""
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        cursor = msgspec.json.decode(data, type=_Cursor)
    except (binascii.Error, ValueError):
        raise bad_request("The cursor is not one that this API has made.") from None
    if cursor.position.time.tzinfo is None:
        raise bad_request("The cursor is not one that this API has made.")
    if cursor.query != query.fingerprint():
        raise bad_request("The cursor belongs to a query with other parameters.")
    return cursor.position


def mongo_filter(query: Query, after: Position | None) -> dict[str, Any]:
    """The filter for the events of a query after a position."""
    times: dict[str, Any] = {}
    if query.since is not None:
        times["$gte"] = query.since
    if query.until is not None:
        times["$lt"] = query.until
    parts: list[dict[str, Any]] = [
        {name: value}
        for name, value in (("symbol", query.symbol), ("source", query.source))
        if value is not None
    ]
    if times:
        parts.append({TIME_FIELD: times})
    if after is not None:
        beyond = "$lt" if query.order == "newest" else "$gt"
        # The first condition is implied by the second; it bounds the scan of the index.
        parts.append({TIME_FIELD: {f"{beyond}e": after.time}})
        parts.append(
            {
                "$or": [
                    {TIME_FIELD: {beyond: after.time}},
                    {TIME_FIELD: after.time, "_id": {beyond: after.event_id}},
                ]
            }
        )
    return {"$and": parts} if parts else {}


def mongo_sort(query: Query) -> list[tuple[str, int]]:
    """The sort order of a query: by event time, and by identity where the time is the same."""
    direction = -1 if query.order == "newest" else 1
    return [(TIME_FIELD, direction), ("_id", direction)]
