"""What the application needs of the outside."""

from collections.abc import Sequence
from typing import Protocol

from millrace.api.store import Store
from millrace.clients.lag import PartitionLag
from millrace.clients.latest_values import Latest
from millrace.events import Event


class DependencyError(Exception):
    """A dependency does not answer, or not in time."""


class Cache(Protocol):
    """The latest values in Redis."""

    def get(self, symbol: str) -> Latest | None:
        """A symbol's value; None if there is none, DependencyError if Redis does not answer."""
        ...

    def ping(self) -> None:
        """Return if Redis answers this API's user; DependencyError otherwise."""
        ...


class Log(Protocol):
    """What the views need of Kafka."""

    def append(self, topic: str, events: Sequence[Event]) -> list[bool]:
        """Whether each event is on every in-sync replica; DependencyError if none can be sent."""
        ...


class Dependencies(Protocol):
    """MongoDB, Kafka and Redis, as the application asks them."""

    def store(self) -> Store:
        """The stored events."""
        ...

    def cache(self) -> Cache | None:
        """The latest values; None where there is no Redis."""
        ...

    def log(self) -> Log:
        """Where events that clients send go."""
        ...

    def ask_mongodb(self) -> None:
        """Return if MongoDB answers this API's user; DependencyError otherwise."""
        ...

    def ask_kafka(self) -> Sequence[PartitionLag]:
        """How far the processor is behind; DependencyError if Kafka does not say."""
        ...
