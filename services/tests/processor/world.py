"""Broker and database as the processor's ports see them: what survives when a process dies."""

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import bson
import msgspec
from bson.codec_options import CodecOptions
from services.tests.processor.chance import Chance, Weather
from services.tests.processor.past import Past
from services.tests.stands import stands_for

from millrace.clients.operator_commands import Command
from millrace.events import LATEST, Alert
from millrace.feeds import Feed
from millrace.feeds.history import Point
from millrace.feeds.stocks import STOCKS
from millrace.processor.batch import Inserted, Message, Partition
from millrace.processor.breaker import Tally
from millrace.processor.sinks.mongodb import MongoStore
from millrace.processor.sinks.topics import TopicPublisher
from millrace.verify.data import oracle

if TYPE_CHECKING:
    from services.tests.processor.process import Processor

AS_STORED: CodecOptions[dict[str, Any]] = CodecOptions(tz_aware=True)
DEAD = "dead-letters"
NOTHING: Any = None
"""Stands in the log at an offset that gives no record: a transaction's mark, or what it aborted."""


@dataclass
class Record:
    """A record of the log."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]] = ()
    timestamp: int = -1
    timestamp_type: int = 0


@stands_for(
    MongoStore,
    TopicPublisher,
    tools=("produce", "end_transaction", "make_anew", "record", "rebalance", "expected", "raised"),
)
class World(Past):
    """What survives a processor: the log, the committed offsets, the database, what was sent."""

    def __init__(self, partitions: int, feed: Feed[Any] = STOCKS) -> None:
        self.feed = feed
        self.chance = Chance()
        self.log: dict[Partition, list[Record]] = {
            (feed.topic, number): [] for number in range(partitions)
        }
        self.committed = dict.fromkeys(self.log, 0)
        self.tallies: dict[Partition, tuple[int, Tally]] = {}
        """What is kept beside the committed offset, and as which commit."""
        self.commits = 0
        self.first_logs = {}
        self.log_id: str | None = "first"
        """The topic's id in Kafka; None of a broker that gives none."""
        self.told_id: str | None = self.log_id
        """The same, as clients have it."""
        self.committed_in: dict[Partition, str | None] = {}
        """The log that the committed offset says it is in."""
        self.commands: dict[Partition, Command] = {}
        self.documents: dict[str, dict[str, Any]] = {}
        self.letters: list[Message] = []
        self.alerts: list[Message] = []
        self.processors: list[Processor] = []
        self.now = 0.0

    def produce(
        self,
        partition: int,
        value: bytes | None,
        key: bytes | None = b"key",
        headers: Sequence[tuple[str, bytes | None]] = (),
        *,
        logged_at: datetime = LATEST,
    ) -> None:
        """Append to the log, whose clock shows that time."""
        records = self.log[self.feed.topic, partition]
        time, by_the_log = round(logged_at.timestamp() * 1000), 1
        records.append(
            Record(self.feed.topic, partition, len(records), key, value, headers, time, by_the_log)
        )

    def make_anew(self, log_id: str, *, forget: bool = True, tell: bool = True) -> None:
        """Delete the topic and make it again, which clients see when they are told.

        A broker forgets what was committed, but members may commit where they are.
        """
        for records in self.log.values():
            records.clear()
        self.log_id = log_id
        if forget:
            self.committed = dict.fromkeys(self.log, 0)
            self.committed_in.clear()
            self.tallies.clear()
        if tell:
            self.told_id = log_id

    def end_transaction(self, partition: int, *, aborted: int = 0) -> None:
        """Append the mark of another producer's transaction, and before it what was aborted."""
        self.log[self.feed.topic, partition] += [NOTHING] * (aborted + 1)

    def rebalance(self, owners: Mapping[Partition, "Processor"]) -> None:
        """Everybody loses all partitions and gets those that they own now."""
        for processor in self.processors:
            processor.consumer.assign(p for p, owner in owners.items() if owner is processor)

    def expected(
        self, threshold: float, skipped: Container[tuple[int, int]] = frozenset()
    ) -> list[oracle.Outcome]:
        """What the log must lead to."""
        records = (
            self.record(r) for partition in self.log.values() for r in partition if r is not NOTHING
        )
        return list(oracle.outcomes(self.feed, records, threshold, skipped=skipped))

    def record(self, r: Record) -> oracle.Record:
        """As the oracle reads it."""
        named = r.partition, r.offset, r.key, r.value, r.timestamp, r.timestamp_type
        first = self.first_logs.get(self.feed.topic, self.log_id)
        return oracle.Record(*named, "" if first == self.log_id else self.log_id or "")

    def raised(self) -> dict[str, set[Alert]]:
        """The alerts that were published, by their id."""
        found: dict[str, set[Alert]] = {}
        for message in self.alerts:
            alert = msgspec.json.decode(message.value or b"", type=Alert)
            found.setdefault(alert.event_id, set()).add(alert)
        return found

    # The ports of store and publisher: all processors have the same ones.

    def insert(self, collection: str, documents: Sequence[dict[str, Any]]) -> Inserted:
        """See ports.Store. A failed insert may have stored any part of its documents."""
        assert collection == self.feed.collection
        if self.chance.seldom(Weather.FAILURES | Weather.CRASHES):
            self._store(self.chance.part(documents))
            self.chance.fault(permanent=True)
        duplicates = self._store(documents)
        self.chance.fault()
        return Inserted(len(documents) - len(duplicates), duplicates)

    def _store(self, documents: Sequence[dict[str, Any]]) -> frozenset[int]:
        found = (index for index, d in enumerate(documents) if d["_id"] in self.documents)
        duplicates = frozenset(found)
        for index, document in enumerate(documents):
            if index not in duplicates:
                assert document["_id"] not in self.documents, "a batch repeats an event"
                self.documents[document["_id"]] = bson.decode(bson.encode(document), AS_STORED)
        return duplicates

    def stored(self, collection: str, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """See ports.Store."""
        assert collection == self.feed.collection
        self.chance.fault()
        return {n: self.documents[n] for n in ids if n in self.documents}

    def newest_of(self, *question: Any) -> Iterator[tuple[str, Point | None]]:
        """See ports.Store. It may fail after some of the answers."""
        for answer in super().newest_of(*question):
            self.now += self.chance.one_of(0.0, 0.1)
            self.chance.fault()
            yield answer

    def window(self, *question: Any) -> Iterable[tuple[datetime, Any]]:
        """See ports.Store."""
        self.chance.fault()
        return super().window(*question)

    def publish(self, messages: Sequence[Message]) -> None:
        """See ports.Publisher."""
        if self.chance.seldom(Weather.FAILURES | Weather.CRASHES):
            self._publish(self.chance.part(messages))
            self.chance.fault(permanent=True)
        self._publish(messages)
        self.chance.fault()

    def _publish(self, messages: Sequence[Message]) -> None:
        for message in messages:
            assert isinstance(message.topic, str)
            for name, content in message.headers:
                assert (type(name), type(content)) == (str, bytes), "the library refuses it"
            (self.letters if message.topic == DEAD else self.alerts).append(message)
