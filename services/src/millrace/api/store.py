"""Stored events, as the API reads them from MongoDB."""

from collections.abc import Mapping
from typing import Any, Protocol

from pymongo.database import Database

from millrace import mongo
from millrace.api.costs import CostQuery, pipeline
from millrace.api.pagination import Position, Query, mongo_filter, mongo_sort
from millrace.feeds.base import BY_POSITION

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

    def between(
        self, collection: str, partition: int, start: int, end: int, symbol: str | None
    ) -> list[Document]:
        """What came from these offsets, `end` excluded, of a partition, by offset."""
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
        return [*mongo.newest(self._database[collection], symbol, LIMIT_MILLISECONDS)]

    def events(
        self, collection: str, query: Query, after: Position | None, limit: int
    ) -> list[Document]:
        """At most `limit` events of a query, after a position in it."""
        found = self._database[collection].find(mongo_filter(query, after))
        return list(found.sort(mongo_sort(query)).limit(limit).max_time_ms(LIMIT_MILLISECONDS))

    def between(
        self, collection: str, partition: int, start: int, end: int, symbol: str | None
    ) -> list[Document]:
        """What came from these offsets, `end` excluded, of a partition, by offset."""
        condition: dict[str, Any] = {
            "kafka.partition": partition,
            "kafka.offset": {"$gte": start, "$lt": end},
            **({"symbol": symbol} if symbol is not None else {}),
        }
        found = self._database[collection].find(condition)
        return list(found.sort(list(BY_POSITION.keys)).max_time_ms(LIMIT_MILLISECONDS))

    def costs(self, collection: str, query: CostQuery) -> list[Document]:
        """The sums of a query, as its pipeline gives them."""
        found = self._database[collection].aggregate(pipeline(query), maxTimeMS=LIMIT_MILLISECONDS)
        return list(found)
