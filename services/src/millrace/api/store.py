"""Stored events, as the API reads them from MongoDB."""

from collections.abc import Mapping
from typing import Any, Protocol

from pymongo.database import Database

from millrace.api.costs import CostQuery, pipeline
from millrace.api.pagination import Position, Query, mongo_filter, mongo_sort
from millrace.feeds.base import TIME_FIELD

Document = Mapping[str, Any]
LIMIT_MILLISECONDS = 5000


class Store(Protocol):
    """What the views need of the database."""

    def latest(self, collection: str, symbol: str | None) -> list[Document]:
        """The newest event of each symbol, or of one."""
        ...

    def events(
        self, collection: str, query: Query, after: Position | None, limit: int
    ) -> list[Document]:
        """At most `limit` events of a query, after a position in it."""
        ...

    def costs(self, collection: str, query: CostQuery) -> list[Document]:
        """The sums of a query, as its pipeline gives them."""
        ...


class MongoStore:
    """The store, behind a database that answers in limited time or fails."""

    def __init__(self, database: Database[dict[str, Any]]) -> None:
        self._database = database

    def latest(self, collection: str, symbol: str | None) -> list[Document]:
        """The newest event of each symbol, or of one."""
        # In this form MongoDB jumps from symbol to symbol in the index and reads nothing between.
        stages: list[dict[str, Any]] = [
            *([{"$match": {"symbol": symbol}}] if symbol is not None else []),
            {"$sort": {"symbol": 1, TIME_FIELD: -1}},
            {"$group": {"_id": "$symbol", "newest": {"$first": "$$ROOT"}}},
            {"$replaceRoot": {"newRoot": "$newest"}},
            {"$sort": {"symbol": 1}},
        ]
        return list(self._database[collection].aggregate(stages, maxTimeMS=LIMIT_MILLISECONDS))

    def events(
        self, collection: str, query: Query, after: Position | None, limit: int
    ) -> list[Document]:
        """At most `limit` events of a query, after a position in it."""
        found = self._database[collection].find(mongo_filter(query, after))
        return list(found.sort(mongo_sort(query)).limit(limit).max_time_ms(LIMIT_MILLISECONDS))

    def costs(self, collection: str, query: CostQuery) -> list[Document]:
        """The sums of a query, as its pipeline gives them."""
        found = self._database[collection].aggregate(pipeline(query), maxTimeMS=LIMIT_MILLISECONDS)
        return list(found)
