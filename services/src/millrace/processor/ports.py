"""The interfaces that the processor needs. Tests implement them with fakes, `run` with servers."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from enum import IntEnum
from typing import Any, NamedTuple, Protocol

from millrace.clients.latest_values import Latest
from millrace.clients.operator_commands import Command
from millrace.clients.topic_ids import FIRST
from millrace.feeds.base import Feed, Series
from millrace.feeds.history import Point
from millrace.processor.batch import Inserted, Message, Partition, Record
from millrace.processor.breaker import Tally
from millrace.processor.pace import Pace
from millrace.processor.points import Moment


class Look(NamedTuple):
    """The progress of the group, according to Kafka."""

    positions: Mapping[Partition, tuple[int, int]]
    """Position and end offset of each partition that this member holds."""
    unread: Sequence[Partition]
    """Partitions that no member of the group holds; of a missing topic, its first one."""


class Consumer(Protocol):
    """A member of the consumer group. Only the consumer thread calls it."""

    @property
    def joined(self) -> bool:
        """Whether it is in the group; not during a rebalance, when no member can commit."""

    @property
    def holdings(self) -> Mapping[Partition, int]:
        """The partitions that this member holds, each with a number that identifies its assignment.

        A partition that keeps its number in a rebalance keeps its position and whether it is
        paused; others start at the committed offset.
        """

    def log_id(self, topic: str) -> str | None:
        """The id of the log of a topic's records; None while it is unknown.

        When it changes, the topic's held partitions are renumbered and read from the start.
        """

    def poll(self, seconds: float) -> Mapping[Partition, Sequence[Record]]:
        """Records in the order of their offsets; empty after the timeout.

        Raises Transient, Permanent, Unknown; Stuck, while the next call returns other records.
        """

    def commit(self, positions: Mapping[Partition, int], tallies: Mapping[str, Tally]) -> None:
        """Store the next offsets to read, and with them the tally of each topic.

        Raises Transient if this failed or the partitions have moved.
        """

    def tally(self, topic: str) -> Tally:
        """The last committed tally of this member's partitions of a topic. Raises as `poll`."""

    def commands(self, partitions: Collection[Partition]) -> Mapping[Partition, Command]:
        """An operator's last command about each of these. Raises Transient, Unknown."""

    def seek(self, positions: Mapping[Partition, int]) -> None:
        """Read from these offsets again."""

    def hold(self, topics: Collection[str], partitions: Collection[Partition]) -> None:
        """Let `poll` return no records of these, but of all others."""

    def look(self) -> Look:
        """Query the progress of the group. Raises Transient."""

    def close(self) -> None:
        """Leave the group."""


class Below(NamedTuple):
    """The stored documents of a partition below an offset, in one log of its topic.

    See millrace.clients.topic_ids.
    """

    partition: int
    offset: int
    log: str = FIRST


class LogPosition(NamedTuple):
    """The log position of a stored event."""

    log: str
    partition: int
    offset: int


class Store(Protocol):
    """The database. Writer threads insert; the consumer thread reads histories."""

    def insert(self, collection: str, documents: Sequence[dict[str, Any]]) -> Inserted:
        """Insert missing documents, journaled by a majority. Raises Transient, Permanent."""

    def stored(self, collection: str, ids: Sequence[str]) -> Mapping[str, Mapping[str, Any]]:
        """The stored documents with these ids, by id. Raises as `insert`."""

    def newest_of(
        self,
        feed: Feed[Any],
        source: str,
        symbols: Sequence[str],
        moment: Moment | None,
        below: Below,
        pace: Pace,
    ) -> Iterable[tuple[str, Point | None]]:
        """The newest time and value of each of a source's symbols, up to a moment, or of all.

        Of two values with the same time it is the first one; None if there is none. It keeps the
        pace. Raises Transient, Permanent, Interrupted.
        """

    def window(
        self,
        feed: Feed[Any],
        series: Series,
        newest: datetime,
        below: Below,
        pace: Pace,
    ) -> Iterable[tuple[datetime, Any]]:
        """Times and values in the feed's window, which ends with the newest, in log order.

        Raises as `newest_of`.
        """

    def has_claims(self, feed: Feed[Any]) -> bool:
        """Whether an event whose time was not believed is stored. Raises Transient, Permanent."""

    def is_elsewhere(
        self, feed: Feed[Any], source: str, symbols: Sequence[str], partition: int
    ) -> bool:
        """Whether an event of one of a source's symbols is stored from another partition.

        Raises as `has_claims`.
        """

    def places(self, feed: Feed[Any], ids: Sequence[str]) -> Mapping[str, LogPosition]:
        """The log positions of these events, if they are stored. Raises as `has_claims`."""

    def log_name(self, topic: str, log_id: str | None) -> str:
        """The name of a topic's log, for documents stored from now on. Raises as `has_claims`."""


class Publisher(Protocol):
    """Publishes dead letters and alerts. Writer threads call it."""

    def publish(self, messages: Sequence[Message]) -> None:
        """Return when Kafka has acknowledged all. Raises Transient, Permanent."""


class Kept(IntEnum):
    """The result of a `put`."""

    NOT_NEWER = 0
    WRITTEN = 1
    ABSENT = 2


class Cache(Protocol):
    """The latest values. A separate thread calls it; every failure is Transient."""

    epoch: int
    """Increases with every connection: earlier values may be lost."""

    def is_complete(self) -> bool:
        """Whether every symbol was written since the cache was last empty."""

    def begin(self) -> str:
        """The mark for `finish`, to be called when every symbol was written."""

    def finish(self, mark: str) -> bool:
        """Mark the cache as complete; False if it was emptied since `begin`."""

    def put(self, values: Sequence[Latest], *, create: bool) -> list[Kept]:
        """Write values that are newer than the present ones.

        Missing values are written only with `create`: the first event after a value has expired may
        be a late one, and not the newest.
        """

    def close(self) -> None:
        """Close the connection."""
