"""Pages of events that MongoDB finds in limited time, however many there are.

Two indexes have the order of events: of all, and of a symbol. A third finds the events of a source,
which are sorted if they are few. Otherwise all events are searched for them, for a limited time:
then a page may be short, and the next one continues from there.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import msgspec
from pymongo.collection import Collection

from millrace.api.pagination import Position, Query, mongo_filter, mongo_sort
from millrace.feeds.base import BY_SERIES, BY_SYMBOL, BY_TIME, TIME_FIELD

LOOKED_THROUGH = 10_000
"""Number of events that are searched at a time for those of a source; fewer are sorted."""
SEARCH_SECONDS = 1.0
"""Time limit of the search for a page; events found until then are returned."""


class Page(NamedTuple):
    """Events, and the position of the next page; None: there are no more."""

    events: list[Mapping[str, Any]]
    following: Position | None


def search(
    collection: Collection[dict[str, Any]],
    query: Query,
    after: Position | None,
    limit: int,
    milliseconds: int,
    clock: Callable[[], float] = time.monotonic,
) -> Page:
    """At most `limit` events of a query, after a position in it. Raises PyMongoError.

    Each query of MongoDB covers a part of an index. The index of a symbol orders only by time, so
    there a part ends with all events of the same time.
    """
    end = clock() + SEARCH_SECONDS
    found: list[Mapping[str, Any]] = []
    is_rare = query.source is not None and _is_rare(collection, query, milliseconds)
    size = limit if query.source is None else LOOKED_THROUGH
    while True:
        last = None if is_rare else _last(collection, query, after, size, milliseconds)
        found += collection.find(
            mongo_filter(query, after, last),
            sort=mongo_sort(query),
            hint=list(BY_SERIES.keys) if is_rare else _index(query),
            limit=limit + 1 - len(found),
            max_time_ms=milliseconds,
        )
        if len(found) > limit:
            shown = found[:limit]
            return Page(shown, Position(shown[-1][TIME_FIELD], shown[-1]["_id"]))
        if last is None or clock() >= end:
            return Page(found, last)
        after = last


def _is_rare(collection: Collection[dict[str, Any]], query: Query, milliseconds: int) -> bool:
    """Whether a source, or one of its series, has so few events that all can be sorted."""
    own = {name: getattr(query, name) for name in ("source", "symbol")}
    entry = collection.find_one(
        {name: value for name, value in own.items() if value is not None},
        {"_id": 0, "source": 1},
        sort=[],
        hint=list(BY_SERIES.keys),
        skip=LOOKED_THROUGH,
        max_time_ms=milliseconds,
    )
    return entry is None


def _last(
    collection: Collection[dict[str, Any]],
    query: Query,
    after: Position | None,
    size: int,
    milliseconds: int,
) -> Position | None:
    """The position in the index after `size` events of any source; None if it ends before."""
    names = [name for name, _ in _index(query) if name != "symbol"]
    entry = collection.find_one(
        mongo_filter(_of_any_source(query), after),
        # The index covers this query.
        {"_id": 0} | dict.fromkeys(names, 1),
        sort=[part for part in mongo_sort(query) if part[0] in names],
        hint=_index(query),
        skip=size,
        max_time_ms=milliseconds,
    )
    return Position(entry[TIME_FIELD], entry.get("_id")) if entry else None


def _of_any_source(query: Query) -> Query:
    return msgspec.structs.replace(query, source=None)


def _index(query: Query) -> list[tuple[str, int]]:
    return list((BY_TIME if query.symbol is None else BY_SYMBOL).keys)
