"""A small world for tests of the API: events in memory, and dependencies that can fail."""

import hashlib
import threading
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from flask import Flask
from pymongo.errors import ServerSelectionTimeoutError
from services.tests.api.database import Database
from services.tests.feeds.events import gpu, tokens
from services.tests.stands import stands_for

from millrace.api.app import create_app
from millrace.api.auth import Token
from millrace.api.cache import RedisCache
from millrace.api.dependencies import Dependencies, LogState
from millrace.api.errors import DependencyError
from millrace.api.log import KafkaLog
from millrace.api.store import MongoStore
from millrace.clients.lag import PartitionLag
from millrace.clients.latest_values import Latest
from millrace.events import Event
from millrace.feeds import FEEDS

AWAY = ServerSelectionTimeoutError("secret-host:27017 is down")
READER, SENDER, STRANGER = "reader-token", "sender-token", "stranger-token"
TOKENS = [
    Token("reader", hashlib.sha256(READER.encode()).hexdigest(), ["read"]),
    Token("sender", hashlib.sha256(SENDER.encode()).hexdigest(), ["ingest"]),
    Token("stranger", hashlib.sha256(STRANGER.encode()).hexdigest(), ["other"]),
]
AUTHORIZED = {"Authorization": f"Bearer {READER}"}
SENDING = {"Authorization": f"Bearer {SENDER}"}


def document(number: int, symbol: str = "A", feed: str = "stocks", **fields: Any) -> dict[str, Any]:
    """A stored document; the number is its minute."""
    time = datetime(2024, 1, 1, number // 60, number % 60, tzinfo=UTC)
    return {
        "_id": f"{feed}:test:{symbol}:{number}",
        "schema_version": 1,
        "feed": feed,
        "symbol": symbol,
        "price": {"value": 1.5, "currency": "USD"},
        "source": "test",
        "simulated": True,
        "timestamp_utc": time,
        "produced_at": time,
        "meta": {"change_pct": None},
        "kafka": {"topic": FEEDS[feed].topic, "partition": 0, "offset": number},
        **fields,
    }


def gpu_document(seconds: float, *, index: int = 0) -> dict[str, Any]:
    """What a GPU did so many seconds after the start of the feeds' events."""
    return stored(gpu(71.0, seconds=seconds, index=index))


def usage_document(prompt: int, completion: int, seconds: float, **fields: Any) -> dict[str, Any]:
    """Tokens that were used so many seconds after the start of the feeds' events."""
    return stored(tokens(prompt, completion, seconds=seconds, **fields))


def stored(event: Event) -> dict[str, Any]:
    """The document of the first event of a series."""
    feed = FEEDS[event.feed]
    made = feed.document(event, feed.derive(event, feed.history(feed.window)))
    position = {"topic": feed.topic, "partition": 0, "offset": 0}
    return {"_id": event.event_id, **made, "kafka": position}


@stands_for(KafkaLog)
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


@stands_for(RedisCache)
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


@stands_for(Dependencies, tools=("app",))
class World:
    """Dependencies whose answers a test decides."""

    def __init__(self, *documents: dict[str, Any]) -> None:
        self.memory = Database(*documents)
        self.redis: MemoryCache | None = MemoryCache()
        self.kafka = MemoryLog()
        self.stop = threading.Event()
        self.down: set[str] = set()
        self.asked = 0
        self.dead_letters = 2
        self.lag = [PartitionLag("stock-data", 0, 12, 3), PartitionLag("stock-data", 1, 5, 1)]

    def store(self) -> MongoStore:
        database: Any = self.memory
        return MongoStore(database)

    def cache(self) -> MemoryCache | None:
        return self.redis

    def log(self) -> MemoryLog:
        return self.kafka

    def ask_mongodb(self) -> None:
        self.asked += 1
        if "mongodb" in self.down:
            raise DependencyError("secret reason")

    def ask_kafka(self) -> LogState:
        if "kafka" in self.down:
            raise DependencyError("secret reason")
        return LogState(self.lag, self.dead_letters)

    @property
    def dependencies(self) -> Any:
        """Itself, in the place of the real ones."""
        return self

    def app(self, *origins: str, feeds: Iterable[str] = FEEDS) -> Flask:
        served = [FEEDS[name] for name in feeds]
        return create_app(
            served, TOKENS, self.dependencies, stale_seconds=60.0, stop=self.stop, origins=origins
        )
