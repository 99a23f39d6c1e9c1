"""What the application needs of the outside."""

from collections.abc import Sequence
from typing import Protocol

from millrace.api.store import Store
from millrace.lag import PartitionLag


class DependencyError(Exception):
    """A dependency does not answer, or not in time."""


class Dependencies(Protocol):
    """MongoDB and Kafka, as the application asks them."""

    def store(self) -> Store:
        """The stored events."""
        ...

    def ask_mongodb(self) -> None:
        """Return if MongoDB answers this API's user; DependencyError otherwise."""
        ...

    def ask_kafka(self) -> Sequence[PartitionLag]:
        """How far the processor is behind; DependencyError if Kafka does not say."""
        ...
