"""An archiver as it runs, on a log in memory and a catalog in a folder."""

import hashlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch
from uuid import UUID

import msgspec
from kafka import KafkaConsumer
from kafka.structs import TopicPartition
from pyiceberg.table import Table
from services.tests.feeds.events import quote
from services.tests.processor.world import Record
from services.tests.stands import refuse_unled, stands_for

from millrace.archive import catalog
from millrace.archive.loop import Loop
from millrace.archive.metrics import Metrics
from millrace.archive.reading import Reader
from millrace.archive.stream import Stream
from millrace.archive.tables import FeedTable
from millrace.clients import kafka
from millrace.clients.progress import Progress
from millrace.config import Settings
from millrace.feeds import FEEDS
from millrace.feeds.quotes import QUOTES

BEGIN = 1_767_366_000_000
"""The time of the first record."""
LOG_APPEND_TIME = 1
POLL_RECORDS = 100


class Log:
    """Topics, and what a group has committed."""

    def __init__(self) -> None:
        self.records: dict[tuple[str, int], list[Any]] = {}
        """By offset; None at an offset without a record."""
        self.starts: dict[tuple[str, int], int] = {}
        self.ids: dict[str, UUID] = {}
        self.committed: dict[tuple[str, int], Any] = {}

    def make(self, topic: str, partitions: int, number: int = 1) -> None:
        """Make a topic, or make it again; its id is of the number."""
        for partition in range(partitions):
            self.records[topic, partition] = []
        self.ids[topic] = UUID(int=number)

    def add(self, topic: str, partition: int, *values: bytes | None) -> None:
        """Append records."""
        records = self.records[topic, partition]
        for value in values:
            offset = len(records)
            records.append(
                Record(topic, partition, offset, None, value, (), BEGIN + offset, LOG_APPEND_TIME)
            )

    def quotes(self, count: int, *, first: int = 0, partitions: int = 3, days: int = 1) -> None:
        """Append quotes of some symbols, each partition its own, over so many days."""
        if (QUOTES.topic, 0) not in self.records:
            self.make(QUOTES.topic, partitions)
        step = 86_400 * days / max(count, 1)
        for n in range(first, first + count):
            event = quote(100.0 + n, seconds=-(n - first) * step, symbol=f"S{n % 7}")
            # Their ids would be those of times.
            event = msgspec.structs.replace(event, event_id=f"quotes:test:{n}")
            self.add(QUOTES.topic, n % 7 % partitions, msgspec.json.encode(event))


@stands_for(KafkaConsumer)
class Consumer:
    """Stands for kafka-python's consumer."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self.at: dict[TopicPartition, int] = {}
        self.resting: set[TopicPartition] = set()
        self.errors: list[Exception] = []
        self.polls = 0
        self._cluster = SimpleNamespace(topic_id=lambda topic: log.ids.get(topic))

    def partitions_for_topic(self, topic: str) -> set[int]:
        return {number for name, number in self.log.records if name == topic}

    def assign(self, partitions: Iterable[TopicPartition]) -> None:
        self.at = {p: self.at.get(p, 0) for p in partitions}

    def assignment(self) -> set[TopicPartition]:
        return set(self.at)

    def seek(self, partition: TopicPartition, offset: int) -> None:
        if partition not in self.at:
            raise ValueError("Unassigned partition")
        self.at[partition] = offset

    def pause(self, *partitions: TopicPartition) -> None:
        self.resting |= set(partitions)

    def resume(self, *partitions: TopicPartition) -> None:
        self.resting -= set(partitions)

    def paused(self) -> set[TopicPartition]:
        return set(self.resting)

    def poll(self, timeout_ms: int) -> dict[TopicPartition, list[Any]]:
        self.polls += 1
        if self.errors:
            raise self.errors.pop(0)
        found = {}
        for partition in sorted(self.at.keys() - self.resting):
            records = self.log.records.get(tuple(partition), [])
            start = self.log.starts.get(tuple(partition), 0)
            if not start <= self.at[partition] <= len(records):
                self.at[partition] = start
            first = self.at[partition]
            self.at[partition] = min(first + POLL_RECORDS, len(records))
            there = [r for r in records[first : self.at[partition]] if r is not None]
            if there:
                found[partition] = there
        return found

    def position(self, partition: TopicPartition, timeout_ms: int | None = None) -> int | None:
        return self.at.get(partition)

    def beginning_offsets(
        self, partitions: Sequence[TopicPartition], timeout_ms: int | None = None
    ) -> dict[TopicPartition, int]:
        refuse_unled([p for p in partitions if tuple(p) not in self.log.records], partitions)
        return {p: self.log.starts.get(tuple(p), 0) for p in partitions}

    def end_offsets(
        self, partitions: Sequence[TopicPartition], timeout_ms: int | None = None
    ) -> dict[TopicPartition, int]:
        refuse_unled([p for p in partitions if tuple(p) not in self.log.records], partitions)
        return {p: len(self.log.records[tuple(p)]) for p in partitions}

    def commit(self, offsets: Mapping[TopicPartition, Any], timeout_ms: int) -> None:
        self.log.committed |= {tuple(p): found for p, found in offsets.items()}

    def close(self, *, autocommit: bool = True, timeout_ms: int | None = None) -> None:
        self.at = {}


def settings_in(folder: Path, **changes: Any) -> Settings:
    """Settings of an archive in a folder."""
    given: dict[str, Any] = {
        "archive_catalog": f"sqlite:///{folder}/catalog.db",
        "archive_warehouse": f"file://{folder}/warehouse",
        "archive_retry_seconds": 0.01,
        "feeds": ["quotes"],
    }
    return Settings(**(given | changes))


class Archiver:
    """An archiver, of which a test decides when it does what."""

    def __init__(self, settings: Settings, log: Log) -> None:
        self.settings = settings
        self.consumer = Consumer(log)
        self.metrics, self.progress = Metrics(), Progress()
        self.stop = threading.Event()
        self.beats = 0
        tables = catalog.opened(settings)
        feeds = [FEEDS[name] for name in settings.feeds]
        self.streams = {feed.topic: Stream(settings, tables, feed, self.metrics) for feed in feeds}
        lost = self.metrics.lost
        with patch.object(kafka, "consumer", lambda _settings, **_options: self.consumer):
            self.reader = Reader(
                settings,
                lambda topic: self.streams[topic].next,
                lambda topic, count: lost.labels(self.streams[topic].feed.name).inc(count),
            )
        self.loop = Loop(
            settings,
            self.streams,
            self.reader,
            metrics=self.metrics,
            progress=self.progress,
            beat=self._beat,
            stop=self.stop,
        )

    def _beat(self) -> None:
        self.beats += 1

    def steps(self, count: int) -> None:
        """So many turns of the loop."""
        with patch("millrace.archive.loop.LINGER_SECONDS", 0):
            for _ in range(count):
                self.loop.step()

    def until(self, is_so: Callable[[], object]) -> None:
        """Turns of the loop until something is so."""
        deadline = time.monotonic() + 10
        while not is_so():
            assert time.monotonic() < deadline
            self.steps(1)

    def finish(self) -> None:
        """End as after SIGTERM."""
        self.stop.set()
        self.loop.run()

    def counted(self, name: str, feed: str = "quotes") -> float:
        """The value of a metric."""
        return (
            self.metrics.registry.get_sample_value(f"millrace_archiver_{name}", {"feed": feed}) or 0
        )


def archive_all(settings: Settings, log: Log) -> Archiver:
    """An archiver that has read everything, and ended."""
    archiver = Archiver(settings, log)
    total = sum(map(len, log.records.values()))
    archiver.steps(3 + total // POLL_RECORDS)
    archiver.finish()
    return archiver


def table_of(settings: Settings, feed: str = "quotes") -> FeedTable:
    """A feed's table as it is now."""
    return FeedTable(catalog.opened(settings), settings, FEEDS[feed])


def positions(table: Table) -> list[tuple[int, int]]:
    """Where in the log the rows of a table are, in order."""
    found = table.scan(selected_fields=("kafka_partition", "kafka_offset")).to_arrow()
    return sorted(zip(*(column.to_pylist() for column in found.columns), strict=True))


def positions_in(log: Log, topic: str = QUOTES.topic) -> list[tuple[int, int]]:
    """Where in the log its records are, in order."""
    return sorted(
        (partition, record.offset)
        for (name, partition), records in log.records.items()
        for record in records
        if name == topic and record is not None
    )


def digest(table: Table) -> str:
    """A hash of all rows, whatever files they are in."""
    rows = (
        table.scan()
        .to_arrow()
        .sort_by(
            [
                ("kafka_log", "ascending"),
                ("kafka_partition", "ascending"),
                ("kafka_offset", "ascending"),
            ]
        )
    )
    return hashlib.sha256(repr(rows.to_pylist()).encode()).hexdigest()


@contextmanager
def failing(target: str, *errors: BaseException) -> Iterator[None]:
    """Let the first calls of a function end with these errors, and the others as they do."""
    from importlib import import_module

    module, _, rest = target.partition(":")
    owner: Any = import_module(module)
    *path, name = rest.split(".")
    for part in path:
        owner = getattr(owner, part)
    real: Callable[..., Any] = getattr(owner, name)
    left = [*errors]

    def called(*arguments: Any, **options: Any) -> Any:
        if left:
            raise left.pop(0)
        return real(*arguments, **options)

    with patch.object(owner, name, called):
        yield
