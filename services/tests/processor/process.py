"""A processor in one thread: what it does when is decided by the test.

It is the real loop, writer and derivation. Its writer threads are a list of jobs, of which any of
the first two runs when the consumer polls or waits; it dies where `Crash` is raised.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future
from contextlib import contextmanager
from threading import Event
from typing import Any
from unittest.mock import patch

from kafka.consumer.subscription_state import SubscriptionState
from kafka.structs import OffsetAndMetadata, TopicPartition
from services.tests.processor.chance import Chance, Weather
from services.tests.processor.world import DEAD, NOTHING, Record, World
from services.tests.stands import stands_for

from millrace.clients.operator_commands import Command
from millrace.clients.progress import Progress
from millrace.config import Settings
from millrace.processor import backoff, pace, points, recall
from millrace.processor import loop as loop_module
from millrace.processor.batch import Partition
from millrace.processor.breaker import Tally
from millrace.processor.errors import Stuck, Transient, Unknown
from millrace.processor.group import Group
from millrace.processor.holdings import Holdings
from millrace.processor.loop import Loop
from millrace.processor.metrics import Metrics
from millrace.processor.ports import Look
from millrace.processor.standing import Standing
from millrace.processor.writer import Writer

WRITERS = 2
LONGEST_WRITE = 12
"""In polls and waits of the loop."""


@stands_for(Group, tools=("assign", "lose"))
class Consumer:
    """See ports.Consumer: a member of a group whose broker is the world.

    What it knows of its partitions is kept by kafka-python's own state, and changes as in the
    library: while it polls, before records are given. `test_contract.py` compares the two.
    """

    joined = True

    def __init__(self, world: World, processor: "Processor") -> None:
        self._world = world
        self._processor = processor
        self._listener = Holdings()
        self._state = SubscriptionState("earliest")
        self._state.subscribe([world.feed.topic])
        self._log_id: str | None = None
        self._checked: Mapping[Partition, int] = {}
        self.failures: list[BaseException] = []
        self.strange: list[Partition] = []
        """Of each the next record that is read cannot be."""
        self.polls = 0

    @property
    def holdings(self) -> Mapping[Partition, int]:
        return self._listener.numbers

    @property
    def paused(self) -> set[Partition]:
        return set(self._state.paused_partitions())

    def assign(self, partitions: Iterable[Partition]) -> None:
        """What it has from now on. What it keeps, it keeps with position and pause."""
        self._listener.on_partitions_revoked(self._state.assigned_partitions())
        self._state.assign_from_subscribed([TopicPartition(*p) for p in partitions])
        self._listener.on_partitions_assigned(self._state.assigned_partitions())

    def lose(self) -> None:
        """The group took it for dead: what it had may have been another's meanwhile."""
        self._listener.on_partitions_lost(self._state.assigned_partitions())
        self._state.assign_from_subscribed([])

    def poll(self, seconds: float) -> Mapping[Partition, Sequence[Record]]:
        world, chance = self._world, self._world.chance
        world.now += seconds * chance.one_of(1, 0.01)
        self.polls += 1
        if self.failures:
            raise self.failures.pop(0)
        while self.strange:
            self._find_positions()
            partition = self.strange.pop(0)
            if (offset := self._state.position(partition).offset) < len(world.log[partition]):
                raise Stuck(partition, offset, "strange")
        self._processor.jobs.go_on()
        chance.fault()
        if chance.seldom(Weather.STRANGE) and (mine := sorted(self.holdings)):
            partition = chance.one_of(*mine)
            self._find_positions()
            raise Stuck(partition, self._state.position(partition).offset, "strange")
        if chance.seldom(Weather.REBALANCES):
            self._processor.disturb()
        self._begin_anew()
        self._find_positions()
        polled = {}
        for partition in sorted(self._state.fetchable_partitions()):
            position = self._state.position(partition).offset
            found = world.log[partition][position : position + chance.one_of(3, 1, 0)]
            passed = OffsetAndMetadata(position + len(found), "", -1)
            self._state.assignment[partition].position = passed
            if records := [record for record in found if record is not NOTHING]:
                polled[partition] = records
        return polled

    def log_id(self, topic: str) -> str | None:
        return self._log_id if topic in self._state.subscription else None

    def _begin_anew(self) -> None:
        """As `Group` does it."""
        world, before = self._world, self._log_id
        self._log_id = world.told_id
        held = self._listener.numbers
        came = [p for p, number in held.items() if self._checked.get(p) != number]
        ids = {p: {world.committed_in.get(p), self._log_id} - {None} for p in came}
        anew = {p for p in came if len(ids[p]) == 2}
        if before is not None and before != self._log_id:
            anew |= held.keys()
            self._listener.renew([world.feed.topic])
        self._checked = self._listener.numbers
        self.seek(dict.fromkeys(anew, 0))
        if anew:
            self._processor.metrics.new_logs.inc()

    def _find_positions(self) -> None:
        for partition in self._state.missing_fetch_positions():
            self._state.seek(partition, self._world.committed[partition])

    def commit(self, positions: Mapping[Partition, int], tallies: Mapping[str, Tally]) -> None:
        self._world.chance.fault()
        for partition, position in positions.items():
            if self._state.is_assigned(partition):
                self._world.committed[partition] = position
                self._world.committed_in[partition] = self._log_id
                self._world.commits += 1
                self._world.tallies[partition] = self._world.commits, tallies[partition[0]]
        self._world.chance.fault()

    def tally(self, topic: str) -> Tally:
        self._world.chance.fault()
        known = self._world.tallies
        mine = (p for p in self._state.assigned_partitions() if p.topic == topic)
        return max((known[p] for p in mine if p in known), default=(0, Tally()))[1]

    def commands(self, partitions: Collection[Partition]) -> Mapping[Partition, Command]:
        self._world.chance.fault()
        return {p: command for p, command in self._world.commands.items() if p in partitions}

    def seek(self, positions: Mapping[Partition, int]) -> None:
        for partition, position in positions.items():
            if self._state.is_assigned(partition):
                self._state.seek(partition, position)

    def hold(self, topics: Collection[str], partitions: Collection[Partition]) -> None:
        for partition in self._state.assigned_partitions():
            if partition.topic in topics or partition in partitions:
                self._state.pause(partition)
            else:
                self._state.resume(partition)

    def look(self) -> Look:
        self._world.chance.fault()
        self._find_positions()
        assigned = self._state.assigned_partitions()
        found = {p: (self._state.position(p).offset, len(self._world.log[p])) for p in assigned}
        return Look(found, [])

    def close(self) -> None:
        self.assign([])


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
        self.standing = Standing(lambda: world.now)
        self.progress.standing = self.standing.problem
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
            standing=self.standing,
        )

    def step(self) -> None:
        """One turn of the loop, which takes a transient error for a reason to try again."""
        try:
            self.loop.step()
        except (Transient, Unknown):
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

    def wait(futures: Any, timeout: float, return_when: str) -> None:
        assert return_when == FIRST_COMPLETED
        for processor in world.processors:
            if processor.jobs.hold(futures):
                processor.jobs.go_on()
        done = any(future.done() for future in futures)
        world.now += 0.001 if done else timeout * world.chance.one_of(1, 0.01)

    with (
        patch.object(loop_module, "time", Time),
        patch.object(pace, "time", Time),
        patch.object(loop_module, "wait", wait),
        # Little of everything, so that it is not enough.
        patch.object(pace, "TAKE_SECONDS", 0.0),
        patch.object(loop_module, "MOST_SERIES", 1),
        patch.object(points, "KEPT", 1),
        patch.object(recall, "AT_ONCE", 1),
        patch.object(backoff, "seconds", lambda *_: 0.0),
    ):
        yield
