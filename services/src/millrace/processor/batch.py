"""The result of one poll: the unit that is written, acknowledged and committed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, NamedTuple, Protocol

from millrace.clients.progress import Partition as Partition
from millrace.clients.topic_ids import FIRST
from millrace.feeds.base import Feed
from millrace.processor.breaker import Tally
from millrace.processor.decode import Taken
from millrace.processor.errors import BadRecord


class Record(Protocol):
    """The needed attributes of a consumed Kafka record."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]]
    timestamp: int
    """In milliseconds since 1970."""
    timestamp_type: int


@dataclass
class Unread:
    """A record of which only the position could be read: see Record."""

    topic: str
    partition: int
    offset: int
    value: bytes | None
    key: bytes | None = None
    headers: Sequence[tuple[str, bytes | None]] = ()
    timestamp: int = -1
    timestamp_type: int = 0


class Message(NamedTuple):
    """A message to publish: a dead letter or an alert."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


@dataclass
class Batch:
    """Everything that has to be acknowledged before `positions` may be committed."""

    feed: Feed[Any]
    holdings: Mapping[Partition, int]
    """The holding number of each partition when the batch was read."""
    log: str = FIRST
    """The name of the records' log."""
    log_id: str | None = None
    """The id of that log in Kafka."""
    first: dict[Partition, int] = field(default_factory=dict)
    """The offset of the first record, by partition."""
    positions: dict[Partition, int] = field(default_factory=dict)
    """The next offset to read, by partition."""
    documents: list[dict[str, Any]] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    """The records of the documents, in the same order."""
    alerts: dict[int, Message] = field(default_factory=dict)
    """The alerts of documents, by the documents' indexes."""
    conflicts: list[tuple[Record, dict[str, Any], BadRecord]] = field(default_factory=list)
    """Documents that are not inserted, because another one with their id is stored or in flight."""
    dead: list[tuple[Record, BadRecord]] = field(default_factory=list)
    events: dict[str, Taken] = field(default_factory=dict)
    """The events by their ids."""
    consumed: int = 0
    duplicates: int = 0
    not_believed: int = 0
    """Number of events whose time was too far ahead."""
    ahead: dict[str, timedelta] = field(default_factory=dict)
    """The maximum by which events were ahead, by source."""
    number: int = 0
    """Number of batches that were submitted before this one."""
    tally: Tally = field(default_factory=Tally)
    """The breaker's counts, including this batch."""

    @property
    def topic(self) -> str:
        """The topic of all records."""
        return next(iter(self.first))[0]

    def is_ahead(self, source: str, by: timedelta) -> None:
        """Record that a time of this source was not believed."""
        self.not_believed += 1
        self.ahead[source] = max(by, self.ahead.get(source, by))


@dataclass(frozen=True)
class Inserted:
    """The result of an insert: the indexes of documents that existed, or can never be stored."""

    stored: int
    duplicates: frozenset[int] = frozenset()
    rejected: Mapping[int, str] = field(default_factory=dict)
