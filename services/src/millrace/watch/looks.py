"""Measures the pipeline repeatedly. Servers that do not answer are reported, and queried again."""

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, NamedTuple

from kafka.errors import KafkaError
from pymongo.errors import PyMongoError

from millrace.api.store import MongoStore
from millrace.clients import kafka, mongodb
from millrace.clients.services import Peer, ask
from millrace.config import Settings
from millrace.errors import MillraceError
from millrace.feeds import FEEDS
from millrace.watch import snapshot, status
from millrace.watch.snapshot import Cost, Position, Price, Snapshot

LIMIT_MILLISECONDS = 3000
COST_FEED = "token_usage"
SYMBOLS = 500
"""Number of symbols of a feed that are read, the first ones by name."""


class _Log(NamedTuple):
    """Kafka's answer: positions by feed, dead letters, and the time of the query."""

    positions: Mapping[str, Position]
    dead_letters: int
    seconds: float


class _Documents(NamedTuple):
    """MongoDB's answer."""

    prices: list[Price]
    costs: list[Cost]


class Watcher:
    """Keeps its connections between measurements: opening one costs more than a query."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._feeds = {name: FEEDS[name] for name in settings.feeds}
        self._admin: Any = None
        self._mongo = mongodb.client(
            settings,
            serverSelectionTimeoutMS=LIMIT_MILLISECONDS,
            connectTimeoutMS=LIMIT_MILLISECONDS,
        )
        self._last: _Log | None = None
        # One thread for each server, so that none waits for one that does not answer.
        self._threads = ThreadPoolExecutor(2 + len(settings.status_hosts))

    def __enter__(self) -> "Watcher":
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._hang_up()
        self._mongo.close()

    def look(self) -> Snapshot:
        """Query all servers at once. Rates are those since the previous measurement."""
        problems: list[str] = []
        log = self._threads.submit(self._ask_kafka, problems)
        documents = self._threads.submit(self._ask_mongodb, problems)
        services = self._threads.map(self._ask_service, self._settings.status_hosts)
        before, now = self._last, log.result()
        self._last = now or before
        found = documents.result()
        return Snapshot(
            at=datetime.now(UTC),
            positions=now.positions if now else {},
            rates=snapshot.rates(before.positions, now.positions, now.seconds - before.seconds)
            if now and before
            else {},
            dead_letters=now.dead_letters if now else None,
            prices=found.prices,
            costs=found.costs,
            services=list(services),
            problems=sorted(problems),
        )

    def _ask_service(self, host: str) -> Peer:
        return ask(self._settings, host)

    def _ask_kafka(self, problems: list[str]) -> _Log | None:
        try:
            if self._admin is None:
                kafka.check_credentials(self._settings)
                self._admin = kafka.admin(
                    self._settings,
                    bootstrap_timeout_ms=LIMIT_MILLISECONDS,
                    request_timeout_ms=LIMIT_MILLISECONDS,
                )
            behind, letters = status.lags(self._admin, self._settings)
        except (KafkaError, MillraceError, AssertionError, OSError) as error:
            self._hang_up()
            problems.append(str(error) if isinstance(error, MillraceError) else f"Kafka: {error}")
            return None
        topics = {feed.topic: name for name, feed in self._feeds.items()}
        return _Log(snapshot.positions(behind, topics), letters, time.monotonic())

    def _hang_up(self) -> None:
        client, self._admin = self._admin, None
        if client is not None:
            with suppress(KafkaError, OSError):
                client.close()

    def _ask_mongodb(self, problems: list[str]) -> _Documents:
        found = _Documents([], [])
        try:
            store = MongoStore(self._mongo[self._settings.mongodb_database])
            for name, feed in self._feeds.items():
                documents = store.latest(feed.collection, "", SYMBOLS)
                found.prices.extend(snapshot.prices(name, documents))
                if name == COST_FEED:
                    found.costs.extend(snapshot.costs(documents))
        except PyMongoError as error:
            problems.append(str(mongodb.explain(error) or f"MongoDB: {mongodb.reason(error)}"))
        return found
