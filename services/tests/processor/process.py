"""A processor in one thread: what it does when is decided by the test.

It is the real loop, writer and derivation. Its writer threads are a list of jobs, of which any of
the first two runs when the consumer polls or waits; it dies where `Crash` is raised.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from threading import Event
from typing import Any
from unittest.mock import patch

from services.tests.processor.chance import Chance, Weather
from services.tests.processor.world import DEAD, Record, World

from millrace.config import Settings
from millrace.processor import backoff
from millrace.processor import loop as loop_module
from millrace.processor.batch import Partition
from millrace.processor.errors import Transient
from millrace.processor.loop import Loop
from millrace.processor.metrics import Metrics
from millrace.processor.progress import Progress
from millrace.processor.writer import Writer

WRITERS = 2
LONGEST_WRITE = 12
"""In polls and waits of the loop."""


class Consumer:
    """See ports.Consumer. A rebalance may come while it polls, before or after it has records."""

    def __init__(self, world: World, processor: "Processor") -> None:
        self._world = world
        self._processor = processor
        self._positions: dict[Partition, int] = {}
        self.paused: set[Partition] = set()
        self.failures: list[BaseException] = []
        self.polls = 0
        self.epoch = 0

    def assign(self, partitions: Iterable[Partition]) -> None:
        """Positions begin at what is committed, and nothing is paused."""
        self.epoch += 1
        self._positions = {p: self._world.committed[p] for p in partitions}
        self.paused.clear()

    def poll(self, seconds: float) -> Mapping[Partition, Sequence[Record]]:
        world, chance = self._world, self._world.chance
        world.now += seconds * chance.one_of(1, 0.01)
        self.polls += 1
        if self.failures:
            raise self.failures.pop(0)
        self._processor.jobs.go_on()
        chance.fault()
        if chance.seldom(Weather.REBALANCES):
            self._processor.disturb()
        polled = {}
        for partition, position in self._positions.items():
            records = world.log[partition][position : position + chance.one_of(3, 1, 0)]
            if records and partition not in self.paused:
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
        self.paused |= self._positions.keys()

    def resume(self) -> None:
        self.paused.clear()

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
        self._idle = 0
        self.threads = WRITERS

    def __len__(self) -> int:
        return len(self._waiting)

    def submit(self, work: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self._waiting.append((future, lambda: work(*args, **kwargs)))
        return future

    def hold(self, futures: Iterable[Future[Any]]) -> bool:
        """Whether one of these waits here: a process waits for its own threads only."""
        return any(future is waiting for future in futures for waiting, _ in self._waiting)

    def go_on(self) -> None:
        """Time passes: one of the jobs that have a thread may end."""
        busy = min(self.threads, len(self._waiting))
        self._idle += 1
        slow = self._chance.weather & Weather.SLOW_WRITES
        if busy and (self._idle > LONGEST_WRITE or (not slow and self._chance.often())):
            self._idle = 0
            self.run(self._chance.one_of(*range(busy)))

    def run(self, index: int) -> None:
        """Finish this one of those that are waiting."""
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
        self.metrics, self.progress = Metrics(), Progress(lambda: world.now)
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
            {world.feed.topic: world.feed},
            self.consumer,
            world,
            self.writer.complete,
            self.jobs,
            metrics=self.metrics,
            progress=self.progress,
            beat=lambda: None,
            stop=self.stop,
        )

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

    def wait(futures: Any, timeout: float) -> None:
        for processor in world.processors:
            if processor.jobs.hold(futures):
                processor.jobs.go_on()
        done = any(future.done() for future in futures)
        world.now += 0.001 if done else timeout * world.chance.one_of(1, 0.01)

    with (
        patch.object(loop_module, "time", Time),
        patch.object(loop_module, "wait", wait),
        patch.object(backoff, "seconds", lambda *_: 0.0),
    ):
        yield
