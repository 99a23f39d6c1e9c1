"""What the processor needs of the world. The tests put fakes here; `run` puts the servers."""

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
    """How far the group has come, as Kafka says it now."""

    positions: Mapping[Partition, tuple[int, int]]
    """Position and end offset of each partition that is held here."""
    unread: Sequence[Partition]
    """Partitions that nobody in the group holds; of a topic that is not there, its first."""


class Consumer(Protocol):
    """A member of the consumer group. Only the consumer thread calls it."""

    @property
    def joined(self) -> bool:
        """Whether it is in the group; not while the members are joining, when none can commit."""

    @property
    def holdings(self) -> Mapping[Partition, int]:
        """The partitions that are held here, each with a number that is new each time it comes.

        One that keeps its number through a change of the assignment keeps its position and whether
        it is paused; of another the position begins at what is committed.
        """

    def log_id(self, topic: str) -> str | None:
        """The id of the log that a topic's records are from; None while it is not known.

        When that changes, what is held of the topic comes anew, and is read from its start.
        """

    def poll(self, seconds: float) -> Mapping[Partition, Sequence[Record]]:
        """Records in the order of their offsets; empty after the time.

        Transient, Permanent, Unknown; Stuck, and the next time what others have.
        """

    def commit(self, positions: Mapping[Partition, int], tallies: Mapping[str, Tally]) -> None:
        """Store the next offsets to read, and with them the tally of each topic.

        Transient if that failed or the partitions moved.
        """

    def tally(self, topic: str) -> Tally:
        """The tally that was committed last with a partition that is held here. As `poll`."""

    def commands(self, partitions: Collection[Partition]) -> Mapping[Partition, Command]:
        """What an operator commanded last for each of these. Transient, Unknown."""

    def seek(self, positions: Mapping[Partition, int]) -> None:
        """Read from these offsets again."""

    def hold(self, topics: Collection[str], partitions: Collection[Partition]) -> None:
        """Keep these and let `poll` return nothing of them, but of all others."""

    def look(self) -> Look:
        """Ask Kafka how far the group has come. Transient."""

    def close(self) -> None:
        """Leave the group."""


class Below(NamedTuple):
    """What is stored of a partition below an offset, of one log of its topic.

    See millrace.clients.topic_ids.
    """

    partition: int
    offset: int
    log: str = FIRST


class LogPosition(NamedTuple):
    """Where an event is stored from."""

    log: str
    partition: int
    offset: int


class Store(Protocol):
    """The database. Writer threads insert; the consumer thread reads what came before."""

    def insert(self, collection: str, documents: Sequence[dict[str, Any]]) -> Inserted:
        """Insert what is not there, acknowledged by a majority's journal. Transient, Permanent."""

    def stored(self, collection: str, ids: Sequence[str]) -> Mapping[str, Mapping[str, Any]]:
        """The documents that are stored with these ids, by them. As `insert`."""

    def newest_of(
        self,
        feed: Feed[Any],
        source: str,
        symbols: Sequence[str],
        moment: Moment | None,
        below: Below,
        pace: Pace,
    ) -> Iterable[tuple[str, Point | None]]:
        """The newest time and value of each of a source's symbols, up to a moment or of all.

        Of two with one time it is the one that came first, and None where there is none. It
        keeps the pace. Transient, Permanent, Interrupted.
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

        Otherwise as `newest_of`.
        """

    def has_claims(self, feed: Feed[Any]) -> bool:
        """Whether an event is stored whose time was not believed. Transient, Permanent."""

    def is_elsewhere(
        self, feed: Feed[Any], source: str, symbols: Sequence[str], partition: int
    ) -> bool:
        """Whether an event of one of a source's symbols is stored from another partition.

        As `has_claims`.
        """

    def places(self, feed: Feed[Any], ids: Sequence[str]) -> Mapping[str, LogPosition]:
        """Where those of these events that are stored come from. As `has_claims`."""

    def log_name(self, topic: str, log_id: str | None) -> str:
        """The name of a topic's log, of which documents are stored from now on. As `has_claims`."""


class Publisher(Protocol):
    """Dead letters and alerts. Writer threads call it."""

    def publish(self, messages: Sequence[Message]) -> None:
        """Return when Kafka has acknowledged all. Transient, Permanent."""


class Kept(IntEnum):
    """What became of a value that was put."""

    NOT_NEWER = 0
    WRITTEN = 1
    ABSENT = 2


class Cache(Protocol):
    """The latest values. A thread of their own calls it; every failure is Transient."""

    epoch: int
    """Grows with every connection: what was there before may be lost."""

    def is_complete(self) -> bool:
        """Whether every symbol has had its value since the cache was last empty."""

    def begin(self) -> str:
        """The mark to `finish` with, when every symbol has been put."""

    def finish(self, mark: str) -> bool:
        """Make it complete; False if it was emptied since `begin`."""

    def put(self, values: Sequence[Latest], *, create: bool) -> list[Kept]:
        """Write those that are newer than what is there.

        Only with `create` is something written where nothing is: a late event is the first to come
        after its symbol's value has expired, and is not the newest.
        """

    def close(self) -> None:
        """Hang up."""
