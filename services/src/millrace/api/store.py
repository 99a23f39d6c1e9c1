"""Stored events, as the API reads them from MongoDB."""

from collections.abc import Mapping
from typing import Any, Protocol

from pymongo.database import Database

from millrace.api.costs import SUMMED, CostQuery, between, pipeline
from millrace.api.pagination import Position, Query
from millrace.api.search import Page, search
from millrace.clients import mongodb, topic_ids
from millrace.feeds.base import BY_TIME, TIME_FIELD, position_index

Document = Mapping[str, Any]
LIMIT_MILLISECONDS = 5000


class Store(Protocol):
    """The database interface of the views."""

    def newest(self, collection: str, symbol: str) -> Document | None:
        """The newest event of a symbol, if any."""
        ...

    def latest(self, collection: str, after: str, limit: int) -> list[Document]:
        """The newest event of each of the `limit` symbols after one, by symbol."""
        ...

    def events(self, collection: str, query: Query, after: Position | None, limit: int) -> Page:
        """At most `limit` events of a query, after a position in it."""
        ...

    def between(
        self, collection: str, log: str, partition: int, start: int, end: int, symbol: str | None
    ) -> list[Document]:
        """The documents of a partition from offset `start` to `end`, exclusive, by offset."""
        ...

    def log_name(self, topic: str, log_id: str | None) -> str:
        """The name of a topic's log: see millrace.clients.topic_ids."""
        ...

    def costs(self, collection: str, query: CostQuery) -> list[Document] | None:
        """The sums of a query, from its pipeline; None if there are more events than SUMMED."""
        ...


class MongoStore:
    """The store on a database, with a time limit for every query."""

    def __init__(self, database: Database[dict[str, Any]]) -> None:
        self._database = database

    def newest(self, collection: str, symbol: str) -> Document | None:
        """The newest event of a symbol, if any."""
        found = mongodb.newest(self._database[collection], LIMIT_MILLISECONDS, symbols=[symbol])
        return next(found, None)

    def latest(self, collection: str, after: str, limit: int) -> list[Document]:
        """The newest event of each of the `limit` symbols after one, by symbol."""
        return [*mongodb.newest_page(self._database[collection], LIMIT_MILLISECONDS, after, limit)]

    def events(self, collection: str, query: Query, after: Position | None, limit: int) -> Page:
        """At most `limit` events of a query, after a position in it."""
        return search(self._database[collection], query, after, limit, LIMIT_MILLISECONDS)

    def between(
        self, collection: str, log: str, partition: int, start: int, end: int, symbol: str | None
    ) -> list[Document]:
        """The documents of a partition from offset `start` to `end`, exclusive, by offset."""
        condition: dict[str, Any] = {
            **topic_ids.within(log),
            "kafka.partition": partition,
            "kafka.offset": {"$gte": start, "$lt": end},
            **({"symbol": symbol} if symbol is not None else {}),
        }
        found = self._database[collection].find(
            condition, sort=position_index(log), max_time_ms=LIMIT_MILLISECONDS
        )
        return list(found)

    def log_name(self, topic: str, log_id: str | None) -> str:
        """The name of a topic's log: see millrace.clients.topic_ids."""
        return topic_ids.name(self._database, topic, log_id)

    def costs(self, collection: str, query: CostQuery) -> list[Document] | None:
        """The sums of a query, from its pipeline; None if there are more events than SUMMED."""
        entry = self._database[collection].find_one(
            between(query),
            # The index covers this query.
            {TIME_FIELD: 1},
            hint=list(BY_TIME.keys),
            skip=SUMMED,
            max_time_ms=LIMIT_MILLISECONDS,
        )
        if entry is not None:
            return None
        found = self._database[collection].aggregate(pipeline(query), maxTimeMS=LIMIT_MILLISECONDS)
        return list(found)
