"""A broker, a database and processors at the ports, in one thread: what happens when is drawn.

A processor is the real loop, writer and derivation. Its writer threads are a list of jobs, of which
any of the first two runs when the consumer polls or waits; a process dies where `Crash` is raised.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import Flag, auto
from threading import Event
from typing import Any
from unittest.mock import patch

import bson
import msgspec
from bson.codec_options import CodecOptions
from hypothesis import strategies as st

from millrace.config import Settings
from millrace.events import Alert
from millrace.feeds import Feed
from millrace.feeds.base import TIME_FIELD, Series
from millrace.feeds.stocks import STOCKS
from millrace.processor import backoff
from millrace.processor import loop as loop_module
from millrace.processor.batch import Batch, Inserted, Message, Partition
from millrace.processor.errors import Permanent, Transient
from millrace.processor.loop import Loop
from millrace.processor.metrics import Metrics
from millrace.processor.progress import Progress
from millrace.processor.writer import Writer
from millrace.verify import oracle

AS_STORED: CodecOptions[dict[str, Any]] = CodecOptions(tz_aware=True)
DEAD = "dead-letters"
WRITERS = 2


class Crash(BaseException):
    """The process is killed here."""


@dataclass
class Record:
    """A record of the log."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]] = ()


class Weather(Flag):
    """What may happen for a while. All at once would hide what takes many turns to build up."""

    CALM = 0
    FAILURES = auto()
    CRASHES = auto()
    REBALANCES = auto()
    SLOW_WRITES = auto()


class Chance:
    """Draws what goes wrong, and nothing while there is nobody to draw from."""

    def __init__(self) -> None:
        self.data: st.DataObject | None = None
        self.weather = Weather.CALM

    def one_of(self, *choices: Any) -> Any:
        """One of these; the first when all is well."""
        return self.data.draw(st.sampled_from(choices)) if self.data else choices[0]

    def often(self) -> bool:
        """Whether something happens that always does when all is well."""
        return bool(self.one_of(True, False))

    def seldom(self, kind: Weather) -> bool:
        """Whether something happens that may in this weather."""
        return bool(kind & self.weather) and bool(self.one_of(False, False, False, True))

    def fault(self, *, permanent: bool = False) -> None:
        """Raise something sometimes."""
        if self.seldom(Weather.FAILURES):
            raise self.one_of(away, away, refused if permanent else away)()
        if self.seldom(Weather.CRASHES):
            raise Crash

    def part(self, items: Sequence[Any]) -> Sequence[Any]:
        """Some of these."""
        return [item for item in items if self.often()]


def away() -> Transient:
    return Transient("away")


def refused() -> Permanent:
    return Permanent("refused")


class World:
    """What survives a processor: the log, the committed offsets, the database, what was sent."""

    def __init__(self, partitions: int) -> None:
        self.chance = Chance()
        self.log: dict[Partition, list[Record]] = {
            (STOCKS.topic, number): [] for number in range(partitions)
        }
        self.committed = dict.fromkeys(self.log, 0)
        self.documents: dict[str, dict[str, Any]] = {}
        self.letters: list[Message] = []
        self.alerts: list[Message] = []
        self.processors: list[Processor] = []
        self.now = 0.0

    def produce(self, partition: int, value: bytes | None, key: bytes | None = b"key") -> None:
        """Append to the log."""
        records = self.log[STOCKS.topic, partition]
        records.append(Record(STOCKS.topic, partition, len(records), key, value))

    def rebalance(self, owners: Mapping[Partition, "Processor"]) -> None:
        """Everybody loses all partitions and gets those that they own now."""
        for processor in self.processors:
            processor.consumer.assign(p for p, owner in owners.items() if owner is processor)

    def expected(self, threshold: float) -> list[oracle.Outcome]:
        """What the log must lead to."""
        records = (
            oracle.Record(r.partition, r.offset, r.key, r.value)
            for partition in self.log.values()
            for r in partition
        )
        return list(oracle.outcomes(STOCKS, records, threshold))

    def raised(self) -> dict[str, set[Alert]]:
        """The alerts that were published, by their id."""
        found: dict[str, set[Alert]] = {}
        for message in self.alerts:
            alert = msgspec.json.decode(message.value or b"", type=Alert)
            found.setdefault(alert.event_id, set()).add(alert)
        return found

    # The ports of store and publisher: every processor has the same.

    def insert(self, collection: str, documents: Sequence[dict[str, Any]]) -> Inserted:
        """See ports.Store. A failed insert may have stored any part of its documents."""
        assert collection == STOCKS.collection
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

    def own(self, collection: str, documents: Sequence[dict[str, Any]]) -> set[str]:
        """See ports.Store."""
        assert collection == STOCKS.collection
        self.chance.fault()
        stored = (self.documents.get(document["_id"]) for document in documents)
        return {
            one["_id"]
            for one, document in zip(stored, documents, strict=True)
            if one and one["kafka"] == document["kafka"]
        }

    def history(
        self, feed: Feed[Any], series: Series, partition: int, before: int
    ) -> Iterable[tuple[datetime, float]]:
        """See ports.Store."""
        self.chance.fault()
        past = sorted(
            (d["kafka"]["offset"], d[TIME_FIELD], d["price"]["value"])
            for d in self.documents.values()
            if (d["source"], d["symbol"]) == series
            and d["kafka"]["partition"] == partition
            and d["kafka"]["offset"] < before
        )
        newest = max((time for _, time, _ in past), default=None)
        return [(time, value) for _, time, value in past if newest and time >= newest - feed.window]

    def publish(self, messages: Sequence[Message]) -> None:
        """See ports.Publisher."""
        if self.chance.seldom(Weather.FAILURES | Weather.CRASHES):
            self._publish(self.chance.part(messages))
            self.chance.fault(permanent=True)
        self._publish(messages)
        self.chance.fault()

    def _publish(self, messages: Sequence[Message]) -> None:
        for message in messages:
            (self.letters if message.topic == DEAD else self.alerts).append(message)


class Consumer:
    """See ports.Consumer. A rebalance may come while it polls, before or after it has records."""

    def __init__(self, world: World, processor: "Processor") -> None:
        self._world = world
        self._processor = processor
        self._positions: dict[Partition, int] = {}
        self._paused: set[Partition] = set()
        self._idle = 0
        self.epoch = 0

    def assign(self, partitions: Iterable[Partition]) -> None:
        """Positions begin at what is committed, and nothing is paused."""
        self.epoch += 1
        self._positions = {p: self._world.committed[p] for p in partitions}
        self._paused.clear()

    def poll(self, seconds: float) -> Mapping[Partition, Sequence[Record]]:
        world, chance = self._world, self._world.chance
        world.now += seconds * chance.one_of(1, 0.01)
        self._idle += 1
        busy = chance.weather & Weather.SLOW_WRITES
        if self._idle > 10 or (not busy and chance.often()):
            self._idle = 0
            self._processor.jobs.run_one()
        chance.fault()
        if chance.seldom(Weather.REBALANCES):
            self._processor.disturb()
        polled = {}
        for partition, position in self._positions.items():
            records = world.log[partition][position : position + chance.one_of(3, 1, 0)]
            if records and partition not in self._paused:
                polled[partition] = records
                self._positions[partition] += len(records)
        if chance.seldom(Weather.REBALANCES):
            self._processor.disturb()
        return polled

    def commit(self, positions: Mapping[Partition, int]) -> None:
        self._world.chance.fault()
        for partition, position in positions.items():
            if partition in self._positions:
                self._world.committed[partition] = position
        self._world.chance.fault()

    def seek(self, positions: Mapping[Partition, int]) -> None:
        for partition, position in positions.items():
            if partition in self._positions:
                self._positions[partition] = position

    def pause(self) -> None:
        self._paused |= self._positions.keys()

    def resume(self) -> None:
        self._paused.clear()

    def lag(self) -> Mapping[Partition, tuple[int, int]]:
        self._world.chance.fault()
        return {p: (at, len(self._world.log[p])) for p, at in self._positions.items()}

    def close(self) -> None:
        self._positions.clear()


class Jobs(Executor):
    """Writer threads that work when they are told to."""

    def __init__(self, chance: Chance) -> None:
        self._chance = chance
        self._waiting: list[tuple[Future[Any], Callable[[], Any]]] = []

    def submit(self, work: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self._waiting.append((future, lambda: work(*args, **kwargs)))
        return future

    def run_one(self) -> None:
        """Finish one of the jobs that have a thread."""
        if not self._waiting:
            return
        index = self._chance.one_of(*range(min(WRITERS, len(self._waiting))))
        future, work = self._waiting.pop(index)
        try:
            future.set_result(work())
        except Exception as error:
            future.set_exception(error)


class Processor:
    """A process: it works until it is stopped, refused or killed."""

    def __init__(self, world: World, settings: Settings, disturb: Callable[[], None]) -> None:
        self._world = world
        self.disturb = disturb
        self.stop, self.give_up = Event(), Event()
        self.jobs = Jobs(world.chance)
        self.consumer = Consumer(world, self)
        self.metrics, self.progress = Metrics(), Progress()
        self.writer = Writer(
            world,
            world,
            self.metrics,
            dead_letters_topic=DEAD,
            give_up=self.give_up,
            longest_wait=1.0,
        )
        self.loop = Loop(
            settings,
            {STOCKS.topic: STOCKS},
            self.consumer,
            world,
            self._complete,
            self.jobs,
            metrics=self.metrics,
            progress=self.progress,
            beat=lambda: None,
            stop=self.stop,
        )

    def _complete(self, batch: Batch) -> None:
        self.writer.complete(batch)

    def step(self) -> None:
        """One turn of the loop, which takes a transient error for a reason to try again."""
        try:
            self.loop.step()
        except Transient:
            self._world.now += 1

    def finish(self) -> None:
        """SIGTERM."""
        self.stop.set()
        self.loop.run()


@contextmanager
def in_one_thread(world: World) -> Iterator[None]:
    """Time is the world's, waiting lets a job run, and nobody sleeps."""

    class Time:
        @staticmethod
        def monotonic() -> float:
            return world.now

    def wait(_futures: Any, timeout: float) -> None:
        world.now += timeout * world.chance.one_of(0.01, 1)
        for processor in world.processors:
            if world.chance.often():
                processor.jobs.run_one()

    with (
        patch.object(loop_module, "time", Time),
        patch.object(loop_module, "wait", wait),
        patch.object(backoff, "seconds", lambda *_: 0.0),
    ):
        yield
