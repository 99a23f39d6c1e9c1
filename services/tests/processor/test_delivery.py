"""Nothing lost, nothing twice, derived values right: whatever happens in whatever order."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from functools import reduce
from operator import or_
from random import Random
from typing import Any

import msgspec
from hypothesis import settings as configure
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from services.tests.feeds.events import START, stock, tokens
from services.tests.processor.chance import Crash, Weather
from services.tests.processor.process import Processor, in_one_thread
from services.tests.processor.world import World

from millrace.clients.letter_headers import CONFLICT, PREFIX, SKIPPED
from millrace.clients.operator_commands import Command
from millrace.clients.records import Unreadable
from millrace.config import Settings
from millrace.events import LATEST
from millrace.feeds import Feed
from millrace.feeds.stocks import STOCKS
from millrace.feeds.token_usage import TOKEN_USAGE
from millrace.processor.errors import Permanent
from millrace.processor.standing import LONGEST_SECONDS
from millrace.verify.data.oracle import DeadLetter, Outcome, Repeated, Stored

PARTITIONS = 2
SYMBOLS = {0: ("AAPL", "IBM"), 1: ("GOOG",)}
MOST_PROCESSORS = 2
SETTINGS = Settings(
    processor_max_in_flight=2,
    processor_writers=2,
    processor_breaker_records=1_000_000,
    stock_alert_threshold=0.2,
)
weathers = st.lists(st.sampled_from(list(Weather)), max_size=3, unique=True).map(
    lambda kinds: reduce(or_, kinds, Weather.CALM)
)
quarters_of_days = st.integers(0, 80)
seeds = st.integers(0, 2**32 - 1)


def clocks(start: datetime, span: timedelta) -> st.SearchStrategy[datetime]:
    """What the clock of the log shows: a time behind all events, or one among them."""
    return st.just(LATEST) | st.integers(0, 20).map(lambda part: start + part * span / 20)


UNREADABLE = Unreadable.because("a batch of bytes", b"\x00batch")
BAD = (None, b"", b"{}", b"\xff", b'{"event_id": 1}', UNREADABLE)


class Delivery(RuleBasedStateMachine):
    """Processors come, go, crash and share partitions while events are produced."""

    feed: Feed[Any]

    def __init__(self) -> None:
        super().__init__()
        self.world = World(PARTITIONS, self.feed)
        self.outcomes: list[Outcome] = []
        self.expected_of: Any = None
        self.stack = ExitStack()
        self.stack.enter_context(in_one_thread(self.world))
        self.start()

    def start(self) -> None:
        self.world.processors.append(Processor(self.world, SETTINGS, self.rebalance))
        self.rebalance()

    def rebalance(self) -> None:
        processors = self.world.processors
        if processors:
            if self.world.chance.seldom(Weather.REBALANCES):
                self.world.chance.one_of(*processors).consumer.lose()
            owners = {p: self.world.chance.one_of(*processors) for p in self.world.log}
            self.world.rebalance(owners)

    @rule(seed=seeds, which=st.integers(0, 1), turns=st.integers(1, 20), weather=weathers)
    def work(self, seed: int, which: int, turns: int, weather: Weather) -> None:
        if not self.world.processors:
            self.start()
        processor = self.world.processors[which % len(self.world.processors)]
        with self.weather(seed, weather), self.mortal(processor):
            for _ in range(turns):
                processor.step()

    @precondition(lambda self: self.world.processors)
    @rule(
        seed=seeds,
        which=st.integers(0, 1),
        what=st.sampled_from(["move", "start", "kill", "terminate", "skip"]),
        weather=weathers,
    )
    def operate(self, seed: int, which: int, what: str, weather: Weather) -> None:
        processor = self.world.processors[which % len(self.world.processors)]
        with self.weather(seed, weather), self.mortal(processor):
            if what == "move":
                self.rebalance()
            elif what == "start":
                if len(self.world.processors) < MOST_PROCESSORS:
                    self.start()
            elif what == "skip":
                self.skip(processor)
            else:
                if what == "terminate":
                    processor.finish()
                self.remove(processor)

    def skip(self, processor: Processor) -> None:
        """Command to skip where a partition stands, and some records behind."""
        for partition, (offset, _) in processor.standing.places().items():
            earlier = self.world.commands.get(partition)
            if earlier and earlier.end > self.world.committed[partition]:
                continue  # nobody is so quick
            if self.is_stored_behind(partition, offset):
                continue  # what was derived with it and is stored stays: the page says so
            end = min(offset + self.world.chance.one_of(1, 2, 3), len(self.world.log[partition]))
            now = datetime.now(UTC)
            command = Command(offset, end, skip=True, reason="known", by="operator", at=now)
            self.world.commands[partition] = command

    @precondition(lambda self: self.world.processors)
    @rule(seed=seeds)
    def take_over(self, seed: int) -> None:
        """Another gets all, while the first writes; it stands, and is commanded to skip."""
        if len(self.world.processors) < MOST_PROCESSORS:
            self.start()
        other = self.world.processors[-1]
        with self.weather(seed, Weather.SLOW_WRITES), self.mortal(other):
            self.world.rebalance(dict.fromkeys(self.world.log, other))
            other.step()
            other.consumer.strange = sorted(self.world.log)
            for _ in range(2):
                other.step()
            self.skip(other)
            for _ in range(20):
                self.world.now += LONGEST_SECONDS
                other.step()

    def is_stored_behind(self, partition: tuple[str, int], offset: int) -> bool:
        """Whether a record of the partition at the offset or behind is stored already."""
        places = [document["kafka"] for document in self.world.documents.values()]
        return any(p["partition"] == partition[1] and p["offset"] >= offset for p in places)

    @rule(partition=st.integers(0, PARTITIONS - 1), aborted=st.integers(0, 2))
    def end_transaction(self, partition: int, aborted: int) -> None:
        self.world.end_transaction(partition, aborted=aborted)

    @invariant()
    def nothing_is_committed_that_is_not_safe(self) -> None:
        letters = self.letters()
        raised = self.world.raised()
        for outcome in self.expected():
            match outcome:
                case DeadLetter(record):
                    place = (record.partition, record.offset)
                    assert place in letters or not self.is_committed(*place)
                case Repeated(record, _, is_new):
                    place = (record.partition, record.offset)
                    assert place in letters or not is_new or not self.is_committed(*place)
                case Stored(document, alert):
                    place = (document["kafka"]["partition"], document["kafka"]["offset"])
                    if self.is_committed(*place):
                        assert self.world.documents[document["_id"]] == document
                        assert alert is None or alert.event_id in raised

    def teardown(self) -> None:
        with self.stack:
            self.drain()
            expected = self.expected()
            stored = [outcome for outcome in expected if isinstance(outcome, Stored)]
            bad = {
                (o.record.partition, o.record.offset) for o in expected if isinstance(o, DeadLetter)
            }
            assert self.world.documents == {o.document["_id"]: o.document for o in stored}
            assert (
                self.letters().keys() - self.letters(SKIPPED).keys() - self.letters(CONFLICT).keys()
                <= bad
            )
            again = [outcome for outcome in expected if isinstance(outcome, Repeated)]
            new = {(o.record.partition, o.record.offset) for o in again if o.is_new}
            assert bad | new <= self.letters().keys()
            assert self.world.raised() == {o.alert.event_id: {o.alert} for o in stored if o.alert}

    def drain(self) -> None:
        """Without new faults everything gets done in a bounded number of turns."""
        ends = {partition: len(records) for partition, records in self.world.log.items()}
        for _ in range(sum(ends.values()) + 30):
            if not self.world.processors:
                self.start()
            for processor in list(self.world.processors):
                with self.mortal(processor):  # an error of before may come out only now
                    processor.step()
                    if processor.standing.held():
                        self.world.now += LONGEST_SECONDS
        assert self.world.committed == ends

    def expected(self) -> list[Outcome]:
        """What the log must lead to: computed again when it has grown, or more was skipped."""
        of = [len(records) for records in self.world.log.values()], self.skipped()
        if of != self.expected_of:
            self.outcomes = self.world.expected(SETTINGS.stock_alert_threshold, of[1])
            self.expected_of = of
        return self.outcomes

    def letters(self, stage: str | None = None) -> dict[tuple[int, int], Any]:
        """The dead letters by the places of their records: all, or of a stage."""
        found = {}
        for letter in self.world.letters:
            said = dict(letter.headers)
            partition = int(said[f"{PREFIX}partition"] or b"")
            offset = int(said[f"{PREFIX}offset"] or b"")
            origin = self.world.log[(said[f"{PREFIX}topic"] or b"").decode(), partition][offset]
            if (letter.key, letter.value) == (None, b""):  # It could not even be read.
                assert said[f"{PREFIX}stage"] == SKIPPED.encode(), "bytes are lost"
            else:
                assert (letter.key, letter.value) == (origin.key, origin.value)
            if stage is None or said[f"{PREFIX}stage"] == stage.encode():
                found[partition, offset] = letter
        return found

    def skipped(self) -> set[tuple[int, int]]:
        """What an operator had skipped, and was not stored at another reading."""
        positions = [document["kafka"] for document in self.world.documents.values()]
        return self.letters(SKIPPED).keys() - {
            (one["partition"], one["offset"]) for one in positions
        }

    def is_committed(self, partition: int, offset: int) -> bool:
        return offset < self.world.committed[self.feed.topic, partition]

    def remove(self, processor: Processor) -> None:
        self.world.processors.remove(processor)
        self.rebalance()

    @contextmanager
    def weather(self, seed: int, weather: Weather) -> Iterator[None]:
        self.world.chance.random, self.world.chance.weather = Random(seed), weather
        try:
            yield
        finally:
            self.world.chance.random, self.world.chance.weather = None, Weather.CALM

    @contextmanager
    def mortal(self, processor: Processor) -> Iterator[None]:
        try:
            yield
        except (Crash, Permanent):
            self.remove(processor)


class Prices(Delivery):
    """Prices of shares, the window being 14 days."""

    feed = STOCKS

    @rule(
        partition=st.integers(0, PARTITIONS - 1),
        symbol=st.integers(0, 1),
        what=st.lists(quarters_of_days | st.sampled_from(BAD), min_size=1, max_size=12),
        price=st.sampled_from([80.0, 100.0, 110.0, 130.0]),
        currency=st.sampled_from(["USD", "EUR"]),
        clock=clocks(START, timedelta(days=20)),
    )
    def produce(
        self,
        partition: int,
        symbol: int,
        what: list[int | bytes | None],
        price: float,
        currency: str,
        clock: datetime,
    ) -> None:
        """Prices and bad records. The window is 14 days: some come too late, and some again.

        Those of one currency are not compared with those of another.

        The clock of the log may be behind, and set back: the times of some are not believed.
        """
        names = SYMBOLS[partition]
        for number, time in enumerate(what):
            if not isinstance(time, int):
                self.world.produce(partition, time)
                continue
            event = stock(price + number, minutes=time * 6 * 60, symbol=names[symbol % len(names)])
            # A finer time than MongoDB keeps, which must not make a difference.
            finer = event.observed_at + timedelta(microseconds=number)
            event = msgspec.structs.replace(event, observed_at=finer, currency=currency)
            self.world.produce(partition, msgspec.json.encode(event), logged_at=clock)


class Tokens(Delivery):
    """Tokens that models use, the window being 30 seconds."""

    feed = TOKEN_USAGE

    @rule(
        partition=st.integers(0, PARTITIONS - 1),
        what=st.lists(st.integers(0, 120) | st.sampled_from(BAD), min_size=1, max_size=12),
        start=st.integers(0, 300),
        prompt=st.integers(0, 1000),
        many=st.booleans(),
        clock=clocks(START, timedelta(seconds=420)),
    )
    def produce(
        self,
        partition: int,
        what: list[int | bytes | None],
        start: int,
        prompt: int,
        many: bool,
        clock: datetime,
    ) -> None:
        """Uses and bad records: some at one time, some too late or ahead, and some again."""
        for number, time in enumerate(what):
            if not isinstance(time, int):
                self.world.produce(partition, time)
                continue
            second = start + time
            event = tokens(prompt, number, seconds=second, model=f"model-{partition}")
            if many:
                event = msgspec.structs.replace(event, event_id=f"{event.event_id}/{number % 3}")
            self.world.produce(partition, msgspec.json.encode(event), logged_at=clock)


Prices.TestCase.settings = configure(max_examples=300, stateful_step_count=30, deadline=None)
TestPrices = Prices.TestCase
Tokens.TestCase.settings = configure(max_examples=200, stateful_step_count=30, deadline=None)
TestTokens = Tokens.TestCase
