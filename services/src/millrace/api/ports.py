"""What the application needs of the outside."""

from collections.abc import Sequence
from typing import Protocol

from millrace.api.store import Store
from millrace.events import Event
from millrace.lag import PartitionLag


class DependencyError(Exception):
    """A dependency does not answer, or not in time."""


class Log(Protocol):
    """What the views need of Kafka."""

    def append(self, topic: str, events: Sequence[Event]) -> list[bool]:
        """Whether each event is on every in-sync replica; DependencyError if none can be sent."""
        ...


class Dependencies(Protocol):
    """MongoDB and Kafka, as the application asks them."""

    def store(self) -> Store:
        """The stored events."""
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
