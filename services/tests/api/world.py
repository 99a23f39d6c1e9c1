"""A small world for tests of the API: events in memory, and dependencies that can fail."""

import hashlib
import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import bson
from flask import Flask
from pymongo.collection import Collection as MongoCollection
from pymongo.errors import ServerSelectionTimeoutError
from services.tests.feeds.events import gpu, tokens
from services.tests.mongo import matches
from services.tests.stands import stands_for

from millrace.api.app import create_app
from millrace.api.auth import Token
from millrace.api.cache import RedisCache
from millrace.api.costs import CostQuery
from millrace.api.log import KafkaLog
from millrace.api.pagination import Position, Query
from millrace.api.ports import DependencyError
from millrace.api.search import Page, search
from millrace.api.store import MongoStore
from millrace.events import Event
from millrace.feeds import FEEDS
from millrace.feeds.base import BY_SERIES, BY_SYMBOL, BY_TIME, Index
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


@stands_for(MongoCollection)
class Events:
    """A collection in memory, asked as pymongo asks."""

    def __init__(self, documents: Sequence[dict[str, Any]]) -> None:
        self._documents = documents
        self.examined: list[int] = []
        """How many documents each question was about."""

    def find(
        self,
        condition: Mapping[str, Any],
        projection: Mapping[str, Any] | None = None,
        *,
        sort: Sequence[tuple[str, int]],
        hint: Sequence[tuple[str, int]],
        limit: int,
        skip: int = 0,
        max_time_ms: int,
    ) -> list[Mapping[str, Any]]:
        bson.encode(condition)
        assert limit > 0, "MongoDB takes this for no limit"
        assert max_time_ms
        assert Index(tuple(hint)) in (BY_TIME, BY_SYMBOL, BY_SERIES)
        found = [d for d in self._documents if matches(d, condition)]
        self.examined.append(len(found))
        for name, direction in reversed(sort):
            found.sort(key=lambda d: d[name], reverse=direction < 0)
        page = found[skip : skip + limit]
        if projection is None:
            return list(page)
        return [{name: d[name] for name, shown in projection.items() if shown} for d in page]

    def find_one(self, *arguments: Any, **options: Any) -> Mapping[str, Any] | None:
        return next(iter(self.find(*arguments, limit=1, **options)), None)


@stands_for(MongoStore)
class MemoryStore:
    """Events in memory, found by the very filters that MongoDB gets."""

    def __init__(self, documents: Sequence[dict[str, Any]]) -> None:
        self.documents = list(documents)
        self.first_logs: dict[str, str] = {}
        self.broken = False

    def _check(self) -> None:
        if self.broken:
            raise ServerSelectionTimeoutError("secret-host:27017 is down")

    def _in(self, collection: str) -> list[dict[str, Any]]:
        return [d for d in self.documents if FEEDS[d["feed"]].collection == collection]

    def newest(self, collection: str, symbol: str) -> Mapping[str, Any] | None:
        self._check()
        own = [d for d in self._in(collection) if d["symbol"] == symbol]
        return max(own, key=lambda d: d["timestamp_utc"]) if own else None

    def latest(self, collection: str, after: str, limit: int) -> list[Mapping[str, Any]]:
        self._check()
        symbols = sorted({d["symbol"] for d in self._in(collection)})
        found = (self.newest(collection, name) for name in symbols if name > after)
        return [one for one in found if one is not None][:limit]

    def events(self, collection: str, query: Query, after: Position | None, limit: int) -> Page:
        self._check()
        port: Any = Events(self._in(collection))
        return search(port, query, after, limit, 1000)

    def log_name(self, topic: str, log_id: str | None) -> str:
        self._check()
        first = self.first_logs.get(topic)
        return "" if log_id is None or first in (None, log_id) else log_id

    def between(
        self, collection: str, log: str, partition: int, start: int, end: int, symbol: str | None
    ) -> list[Mapping[str, Any]]:
        self._check()
        found = [
            d
            for d in self.documents
            if log in ("", d["kafka"].get("log"))
            and d["kafka"]["partition"] == partition
            and start <= d["kafka"]["offset"] < end
            and symbol in (None, d["symbol"])
        ]
        return sorted(found, key=lambda d: d["kafka"]["offset"])

    def costs(self, collection: str, query: CostQuery) -> list[Mapping[str, Any]] | None:
        """What MongoDB's pipeline sums, computed in another way."""
        self._check()
        groups: dict[tuple[datetime, str], list[dict[str, Any]]] = {}
        for one in self._in(collection):
            time = one["timestamp_utc"]
            if query.since <= time < query.until:
                zero = {"minute": 0} if query.bucket == "hour" else {}
                start = time.replace(second=0, microsecond=0, **zero)
                gpu = f"{one['host']}/{one['gpu_index']}"
                group = gpu if query.by == "gpu" else one[query.by]
                groups.setdefault((start, group), []).append({**one, "gpu": gpu})
        found = []
        for (start, group), events in groups.items():
            prices: dict[str, float | None] = {}
            for one in events:
                told = [prices.get(one["gpu"]), one["meta"]["price_per_hour_usd"]]
                prices[one["gpu"]] = max((p for p in told if p is not None), default=None)
            found.append(
                {
                    "_id": {"start": start, "group": group},
                    "prompt_tokens": sum(one["prompt_tokens"] for one in events),
                    "completion_tokens": sum(one["completion_tokens"] for one in events),
                    "events": len(events),
                    "gpus": len(prices),
                    "priced": sum(price is not None for price in prices.values()),
                    "price": sum(price or 0 for price in prices.values()),
                }
            )
        found.sort(key=lambda one: one["_id"]["group"])
        found.sort(key=lambda one: one["_id"]["start"], reverse=True)
        if query.after is not None:
            start, group = query.after.start, query.after.group
            found = [
                one
                for one in found
                if one["_id"]["start"] < start
                or (one["_id"]["start"] == start and one["_id"]["group"] > group)
            ]
        return list(found[: query.limit])


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

    def app(self, *origins: str) -> Flask:
        feeds = list(FEEDS.values())
        return create_app(feeds, TOKENS, self, stale_seconds=60.0, stop=self.stop, origins=origins)
