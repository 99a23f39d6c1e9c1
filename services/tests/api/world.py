"""A small world for tests of the API: events in memory, and dependencies that can fail."""

import hashlib
import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from flask import Flask
from pymongo.errors import ServerSelectionTimeoutError

from millrace.api.app import create_app
from millrace.api.auth import Token
from millrace.api.pagination import Position, Query, mongo_filter, mongo_sort
from millrace.api.ports import DependencyError
from millrace.events import Event
from millrace.feeds import FEEDS
from millrace.lag import PartitionLag
from millrace.latest import Latest

READER, SENDER, STRANGER = "reader-token", "sender-token", "stranger-token"
TOKENS = [
    Token("reader", hashlib.sha256(READER.encode()).hexdigest(), ["read"]),
    Token("sender", hashlib.sha256(SENDER.encode()).hexdigest(), ["ingest"]),
    Token("stranger", hashlib.sha256(STRANGER.encode()).hexdigest(), ["other"]),
]
AUTHORIZED = {"Authorization": f"Bearer {READER}"}
SENDING = {"Authorization": f"Bearer {SENDER}"}


def document(number: int, symbol: str = "A", **fields: Any) -> dict[str, Any]:
    """A stored document; the number is its minute."""
    time = datetime(2024, 1, 1, number // 60, number % 60, tzinfo=UTC)
    return {
        "_id": f"stocks:test:{symbol}:{number}",
        "schema_version": 1,
        "feed": "stocks",
        "symbol": symbol,
        "price": {"value": 1.5, "currency": "USD"},
        "source": "test",
        "simulated": True,
        "timestamp_utc": time,
        "produced_at": time,
        "meta": {"change_pct": None},
        "kafka": {"topic": "stock-data", "partition": 0, "offset": number},
        **fields,
    }


def matches(found: Mapping[str, Any], condition: Mapping[str, Any]) -> bool:
    """What MongoDB would say of a document and a filter, as far as filters here go."""
    compare = {
        "$lt": lambda a, b: a < b,
        "$lte": lambda a, b: a <= b,
        "$gt": lambda a, b: a > b,
        "$gte": lambda a, b: a >= b,
    }
    for name, wanted in condition.items():
        if name == "$and":
            good = all(matches(found, part) for part in wanted)
        elif name == "$or":
            good = any(matches(found, part) for part in wanted)
        elif isinstance(wanted, dict):
            good = all(compare[operator](found[name], bound) for operator, bound in wanted.items())
        else:
            good = found[name] == wanted
        if not good:
            return False
    return True


class MemoryStore:
    """Events in memory, found by the very filters that MongoDB gets."""

    def __init__(self, documents: Sequence[dict[str, Any]]) -> None:
        self.documents = list(documents)
        self.broken = False

    def _check(self) -> None:
        if self.broken:
            raise ServerSelectionTimeoutError("secret-host:27017 is down")

    def latest(self, collection: str, symbol: str | None) -> list[Mapping[str, Any]]:
        self._check()
        newest: dict[str, dict[str, Any]] = {}
        for one in sorted(self.documents, key=lambda d: d["timestamp_utc"]):
            newest[one["symbol"]] = one
        return [newest[name] for name in sorted(newest) if symbol in (None, name)]

    def events(
        self, collection: str, query: Query, after: Position | None, limit: int
    ) -> list[Mapping[str, Any]]:
        self._check()
        found = [d for d in self.documents if matches(d, mongo_filter(query, after))]
        for name, direction in reversed(mongo_sort(query)):
            found.sort(key=lambda d: d[name], reverse=direction < 0)
        return list(found[:limit])

    def between(
        self, collection: str, partition: int, start: int, end: int, symbol: str | None
    ) -> list[Mapping[str, Any]]:
        self._check()
        found = [
            d
            for d in self.documents
            if d["kafka"]["partition"] == partition
            and start <= d["kafka"]["offset"] < end
            and symbol in (None, d["symbol"])
        ]
        return sorted(found, key=lambda d: d["kafka"]["offset"])


class MemoryLog:
    """What is acknowledged, until nothing is: by the number of events that still are."""

    def __init__(self) -> None:
        self.records: list[tuple[str, Event]] = []
        self.room: float = float("inf")

    def append(self, topic: str, events: Sequence[Event]) -> list[bool]:
        if not self.room:
            raise DependencyError("secret reason")
        accepted = [number < self.room for number in range(len(events))]
        self.records += [
            (topic, event) for event, good in zip(events, accepted, strict=True) if good
        ]
        self.room -= sum(accepted)
        return accepted


class MemoryCache:
    """Latest values in memory."""

    def __init__(self) -> None:
        self.values: dict[str, Latest] = {}
        self.broken = False

    def get(self, symbol: str) -> Latest | None:
        self.ping()
        return self.values.get(symbol)

    def ping(self) -> None:
        if self.broken:
            raise DependencyError("secret reason")


class World:
    """Dependencies whose answers a test decides."""

    def __init__(self, *documents: dict[str, Any]) -> None:
        self.memory = MemoryStore(documents)
        self.redis: MemoryCache | None = MemoryCache()
        self.kafka = MemoryLog()
        self.stop = threading.Event()
        self.down: set[str] = set()
        self.asked = 0
        self.lag = [PartitionLag("stock-data", 0, 12, 3), PartitionLag("stock-data", 1, 5, 1)]

    def store(self) -> MemoryStore:
        return self.memory

    def cache(self) -> MemoryCache | None:
        return self.redis

    def log(self) -> MemoryLog:
        return self.kafka

    def ask_mongodb(self) -> None:
        self.asked += 1
        if "mongodb" in self.down:
            raise DependencyError("secret reason")

    def ask_kafka(self) -> Sequence[PartitionLag]:
        if "kafka" in self.down:
            raise DependencyError("secret reason")
        return self.lag

    def app(self) -> Flask:
        return create_app(list(FEEDS.values()), TOKENS, self, stale_seconds=60.0, stop=self.stop)
