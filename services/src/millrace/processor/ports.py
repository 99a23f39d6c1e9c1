"""What the processor needs of the world. The tests put fakes here; `run` puts Kafka and MongoDB."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from millrace.feeds.base import Feed, Series
from millrace.processor.batch import Inserted, Message, Partition, Record


class Consumer(Protocol):
    """A member of the consumer group. Only the consumer thread calls it."""

    @property
    def epoch(self) -> int:
        """Grows with every change of the assignment."""

    def poll(self, seconds: float) -> Mapping[Partition, Sequence[Record]]:
        """Records in the order of their offsets; empty after the time. Transient, Permanent."""

    def commit(self, positions: Mapping[Partition, int]) -> None:
        """Store the next offsets to read. Transient if that failed or the partitions moved."""

    def seek(self, positions: Mapping[Partition, int]) -> None:
        """Read from these offsets again."""

    def pause(self) -> None:
        """Keep the partitions and let `poll` return nothing."""

    def resume(self) -> None:
        """Undo `pause`."""

    def lag(self) -> Mapping[Partition, tuple[int, int]]:
        """Position and end offset of each assigned partition. Transient."""

    def close(self) -> None:
        """Leave the group."""


class Store(Protocol):
    """The database. Writer threads insert; the consumer thread reads history."""

    def insert(self, collection: str, documents: Sequence[dict[str, Any]]) -> Inserted:
        """Insert what is not there, acknowledged by a majority's journal. Transient, Permanent."""

    def own(self, collection: str, documents: Sequence[dict[str, Any]]) -> set[str]:
        """Ids of those documents that are stored from the same Kafka position. As `insert`."""

    def history(
        self, feed: Feed[Any], series: Series, partition: int, before: int
    ) -> Iterable[tuple[datetime, Any]]:
        """Stored times and values of a series with Kafka offsets below `before`, in log order.

        At least those within the feed's window before the newest. Transient, Permanent.
        """


class Publisher(Protocol):
    """Dead letters and alerts. Writer threads call it."""

    def publish(self, messages: Sequence[Message]) -> None:
        """Return when Kafka has acknowledged all. Transient, Permanent."""
