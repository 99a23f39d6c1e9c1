"""The API's dependencies, created when first needed, after gunicorn has forked its worker."""

import threading
from collections.abc import Sequence
from typing import Any, NamedTuple

from kafka.errors import KafkaError
from pymongo.errors import PyMongoError

from millrace.api.cache import LIMIT_SECONDS, RedisCache
from millrace.api.errors import DependencyError
from millrace.api.log import CLIENT_LIMITS, KafkaLog
from millrace.api.store import MongoStore, Store
from millrace.clients import kafka, lag, mongodb, redis
from millrace.clients.lag import PartitionLag
from millrace.config import Settings
from millrace.errors import MillraceError
from millrace.feeds import FEEDS

LIMIT_MILLISECONDS = 3000


class LogState(NamedTuple):
    """The processor's lag in each partition of the feeds, and the number of dead letters."""

    partitions: Sequence[PartitionLag]
    dead_letters: int


class Dependencies:
    """MongoDB, Kafka and Redis for the application. A client that fails is created again."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._mongo: Any = None
        self._kafka: Any = None
        self._mongo_lock = threading.Lock()
        self._kafka_lock = threading.Lock()
        self._cache: RedisCache | None = None
        self._cache_lock = threading.Lock()
        self._log = KafkaLog(self._connect_producer)

    def store(self) -> Store:
        """The stored events."""
        return MongoStore(self._database())

    def cache(self) -> RedisCache | None:
        """The latest values; None without Redis."""
        with self._cache_lock:
            if self._cache is None and self._settings.redis_host:
                client = redis.client(
                    self._settings,
                    socket_timeout=LIMIT_SECONDS,
                    socket_connect_timeout=LIMIT_SECONDS,
                )
                self._cache = RedisCache(client)
            return self._cache

    def log(self) -> KafkaLog:
        """The log to which clients' events are written."""
        return self._log

    def ask_mongodb(self) -> None:
        """Return if MongoDB answers the API's user; otherwise raise DependencyError."""
        collection = FEEDS[self._settings.feeds[0]].collection
        try:
            # MongoDB answers a ping without a login.
            self._database()[collection].find_one({}, {"_id": 1}, max_time_ms=LIMIT_MILLISECONDS)
        except PyMongoError as error:
            raise DependencyError(type(error).__name__) from error

    def _database(self) -> Any:
        with self._mongo_lock:
            if self._mongo is None:
                self._mongo = mongodb.client(
                    self._settings, serverSelectionTimeoutMS=LIMIT_MILLISECONDS
                )
            return self._mongo[self._settings.mongodb_database]

    def ask_kafka(self) -> LogState:
        """What Kafka says; raises DependencyError if it does not answer."""
        letters = self._settings.dead_letters_topic
        topics = [letters, *(FEEDS[name].topic for name in self._settings.feeds)]
        with self._kafka_lock:
            try:
                if self._kafka is None:
                    self._kafka = self._connect()
                found = lag.read(self._kafka, self._settings.processor_group_id, topics)
            except (KafkaError, MillraceError) as error:
                if self._kafka is not None:
                    self._kafka.close()
                    self._kafka = None
                raise DependencyError(type(error).__name__) from error
        # No offsets of the dead letters are committed: their lag is their number.
        return LogState(
            [part for part in found if part.topic != letters],
            sum(part.lag for part in found if part.topic == letters),
        )

    def _connect(self) -> Any:
        kafka.check_credentials(self._settings, timeout=LIMIT_MILLISECONDS / 1000)
        return kafka.admin(
            self._settings,
            bootstrap_timeout_ms=LIMIT_MILLISECONDS,
            request_timeout_ms=LIMIT_MILLISECONDS,
        )

    def _connect_producer(self) -> Any:
        kafka.check_credentials(self._settings, timeout=LIMIT_MILLISECONDS / 1000)
        return kafka.producer(
            self._settings, bootstrap_timeout_ms=LIMIT_MILLISECONDS, **CLIENT_LIMITS
        )
