"""The latest values: in the end Redis holds what MongoDB holds, whatever happens to either."""

import threading
from collections.abc import Iterator, Sequence
from random import Random
from typing import Any
from unittest.mock import patch

import msgspec
import pytest
from hypothesis import settings as configure
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from services.tests.feeds.events import quote
from services.tests.processor.cache import MemoryCache, Quotes
from services.tests.processor.world import Record
from structlog.testing import capture_logs

from millrace.clients import latest_values
from millrace.clients.latest_values import Latest
from millrace.clients.progress import Progress
from millrace.feeds.quotes import QUOTES, Quote
from millrace.processor import backoff
from millrace.processor.batch import Batch, Inserted
from millrace.processor.cache_writer import CacheWriter
from millrace.processor.derivation import Derivation
from millrace.processor.errors import Permanent, Transient
from millrace.processor.metrics import Metrics
from millrace.processor.pace import Pace
from millrace.processor.recall import Recall
from millrace.processor.writer import Writer

SYMBOLS = ("AAPL", "IBM", "MSFT")
SOON = 5.0


class World:
    """A processor's latest values between a cache and a database."""

    def __init__(self) -> None:
        self.cache, self.quotes = MemoryCache(), Quotes()
        self.start()

    def start(self) -> None:
        """A new process: what had waited in the old one is lost."""
        self.metrics = Metrics()
        self.values = CacheWriter(self.cache, self.quotes.newest, [QUOTES], self.metrics, 0.01)

    def store(self, *events: Quote) -> None:
        """What a writer thread does."""
        documents = made(*events)
        self.values.offer(
            QUOTES.collection, documents, self.quotes.insert(QUOTES.collection, documents)
        )

    def metric(self, name: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"millrace_processor_cache_{name}")


def made(*events: Quote) -> list[dict[str, Any]]:
    """The documents of these events, as the processor makes them."""
    return [
        {"_id": event.event_id, **QUOTES.document(event, {}), "kafka": {"offset": number}}
        for number, event in enumerate(events)
    ]


@pytest.fixture
def world() -> World:
    return World()


def test_the_newest_of_a_batch_is_written(world: World) -> None:
    world.store(quote(0.5))
    world.values.step()
    world.store(quote(1.0, seconds=2), quote(2.0, seconds=3), quote(3.0, seconds=1))
    world.values.step()
    assert world.cache.values["IBM"].price == "2.0"


def test_of_two_with_one_time_the_first_is_written(world: World) -> None:
    world.store(quote(1.0), quote(2.0, symbol="AAPL"))
    world.values.step()
    first = quote(3.0, seconds=1)
    world.store(first, msgspec.structs.replace(first, event_id="another", price=4.0))
    world.values.step()
    assert world.cache.values["IBM"].price == "3.0"


def test_a_late_event_does_not_replace_a_newer_one(world: World) -> None:
    world.store(quote(1.0, seconds=2))
    world.values.step()
    world.store(quote(2.0, seconds=1))
    world.values.step()
    assert world.cache.values["IBM"].price == "1.0"
    assert world.metric("refused_total") == 2  # what had been filled first is offered again


def test_a_late_event_is_not_the_newest_although_its_symbol_has_no_value(world: World) -> None:
    world.store(quote(1.0, seconds=2))
    world.values.step()
    world.cache.evict("IBM")
    world.store(quote(2.0, seconds=1))
    world.values.step()
    assert [value.price for value in world.cache.written] == ["1.0", "1.0"]


def test_what_a_repeated_event_says_is_not_what_is_stored(world: World) -> None:
    world.store(quote(1.0))
    world.values.step()
    world.quotes.insert(QUOTES.collection, made(quote(2.0, seconds=1)))
    world.store(quote(9.0, seconds=1))
    world.values.step()
    assert world.cache.values["IBM"].price == "2.0"


def test_what_mongodb_has_to_be_asked_for_waits_until_it_answers(world: World) -> None:
    """Each of two batches repeats an event of another symbol."""
    world.values.step()
    for symbol in ("IBM", "AAPL"):
        world.quotes.insert(QUOTES.collection, made(quote(2.0, symbol=symbol)))
        world.store(quote(9.0, symbol=symbol))
    world.quotes.away = True
    with pytest.raises(Transient):
        world.values.step()
    world.quotes.away = False
    world.values.step()
    assert {s: v.price for s, v in world.cache.values.items()} == {"IBM": "2.0", "AAPL": "2.0"}


def test_an_insert_that_was_made_twice_is_written(world: World) -> None:
    """The first attempt stored it and failed all the same: the second finds a duplicate."""
    world.values.step()
    world.quotes.insert(QUOTES.collection, made(quote(1.0)))
    world.store(quote(1.0))
    world.values.step()
    assert world.cache.values["IBM"].price == "1.0"


def test_what_is_not_stored_is_not_written(world: World) -> None:
    world.values.step()
    world.quotes.insert(QUOTES.collection, made(quote(1.0)))
    documents = made(quote(2.0, seconds=1))
    world.values.offer(QUOTES.collection, documents, Inserted(0, rejected={0: "too strange"}))
    world.values.offer("stock_data", documents, Inserted(1))
    world.values.step()
    assert not world.cache.values


def test_what_was_lost_while_it_was_away_comes_from_the_database(world: World) -> None:
    world.store(quote(1.0), quote(2.0, symbol="AAPL"))
    world.values.step()
    world.cache.lose_everything()
    world.values.step()
    assert {s: v.price for s, v in world.cache.values.items()} == {"IBM": "1.0", "AAPL": "2.0"}


def test_a_cache_that_is_emptied_while_it_is_filled_is_not_complete(world: World) -> None:
    world.store(quote(1.0))

    def put(values: Sequence[Latest], *, create: bool) -> list[Any]:
        result = MemoryCache.put(world.cache, values, create=create)
        world.cache.lose_everything()
        return result

    with patch.object(world.cache, "put", put), pytest.raises(Transient, match="emptied"):
        world.values.step()
    assert not world.cache.is_complete()
    world.values.step()
    assert world.cache.values["IBM"].price == "1.0"


def test_after_a_new_connection_everything_is_put_again(world: World) -> None:
    """The server may have come back with what was on its disk a second ago."""
    world.store(quote(1.0), quote(2.0, seconds=1))
    world.values.step()
    world.cache.values["IBM"] = latest_values.of(
        QUOTES, world.quotes.documents[quote(1.0).event_id]
    )
    world.cache.hang_up()
    world.values.step()
    assert world.cache.values["IBM"].price == "2.0"


def test_one_document_a_symbol_waits_while_redis_is_away(world: World) -> None:
    world.cache.away = True
    for number in range(100):
        world.store(quote(1.0 + number, seconds=number), quote(5.0, symbol="AAPL"))
        with pytest.raises(Transient):
            world.values.step()
    assert len(world.values._waiting) == 2
    world.cache.away = False
    world.values.step()
    assert world.cache.values["IBM"].price == "100.0"


def test_few_documents_are_in_memory_while_redis_is_filled(world: World) -> None:
    events = [quote(1.0, symbol=f"S{number}") for number in range(20)]
    world.quotes.insert(QUOTES.collection, made(*events))
    sizes = []

    def put(values: Sequence[Latest], *, create: bool) -> list[Any]:
        sizes.append(len(values))
        assert world.quotes.taken == sum(sizes), "more were read than are written"
        return MemoryCache.put(world.cache, values, create=create)

    with patch.object(world.cache, "put", put), patch("millrace.processor.cache_writer.AT_ONCE", 6):
        world.values.step()
    assert sizes == [6, 6, 6, 2]
    assert len(world.cache.values) == 20


def test_what_waits_is_written_in_small_portions(world: World) -> None:
    world.store(*(quote(1.0, symbol=f"S{number}") for number in range(20)))
    world.values.step()
    with (
        patch.object(world.cache, "put", wraps=world.cache.put) as put,
        patch("millrace.processor.cache_writer.AT_ONCE", 6),
    ):
        world.store(*(quote(2.0, symbol=f"S{number}", seconds=1) for number in range(20)))
        world.values.step()
        assert [len(call.args[0]) for call in put.call_args_list] == [6, 6, 6, 2]
        put.reset_mock()
        for number in range(20):
            world.cache.evict(f"S{number}")
        world.store(*(quote(3.0, symbol=f"S{number}", seconds=2) for number in range(20)))
        world.values.step()
        found = [(len(call.args[0]), call.kwargs["create"]) for call in put.call_args_list]
    assert found == [(size, create) for create in (False, True) for size in (6, 6, 6, 2)]
    assert [value.price for value in world.cache.values.values()] == ["3.0"] * 20


def test_what_waits_is_bounded_and_what_is_forgotten_comes_from_the_database(world: World) -> None:
    world.values.step()
    world.cache.away = True
    with patch("millrace.processor.cache_writer.MOST", 10):
        waiting = []
        for number in range(25):
            world.store(quote(1.0, symbol=f"S{number}"))
            waiting.append(len(world.values._waiting))
        assert max(waiting) == 10
        repeated = [quote(1.0, symbol=f"S{number}") for number in range(25)]
        for event in repeated:
            world.store(event)
            assert len(world.values._doubtful) <= 10
    world.cache.away = False
    world.values.step()
    assert len(world.cache.values) == 25
    taken = world.quotes.taken
    world.values.step()
    assert world.quotes.taken == taken, "it is filled once"


def test_what_is_forgotten_while_redis_is_filled_is_filled_again(world: World) -> None:
    world.quotes.insert(QUOTES.collection, made(quote(1.0), quote(1.0, symbol="ZZZ")))
    world.cache.soon = [
        lambda: world.store(*(quote(2.0, symbol=s, seconds=1) for s in ("AAA", "BBB", "IBM"))),
        lambda: None,
        lambda: None,
    ]
    with (
        patch("millrace.processor.cache_writer.MOST", 2),
        patch("millrace.processor.cache_writer.AT_ONCE", 1),
    ):
        world.values.step()
        world.values.step()
    assert {s: v.price for s, v in world.cache.values.items()} == {
        **dict.fromkeys(("AAA", "BBB", "IBM"), "2.0"),
        "ZZZ": "1.0",
    }


def test_a_stop_does_not_wait_until_redis_is_filled(world: World) -> None:
    world.quotes.insert(
        QUOTES.collection, made(*(quote(1.0, symbol=f"S{number}") for number in range(9)))
    )
    world.cache.soon = [world.values._stop.set, lambda: None, lambda: None]
    with (
        patch("millrace.processor.cache_writer.AT_ONCE", 1),
        pytest.raises(Transient, match=r"^told to stop while Redis is filled$"),
    ):
        world.values.step()
    assert len(world.cache.values) == 1


def test_it_pauses_longer_and_longer_while_redis_is_away(world: World) -> None:
    attempts: list[tuple[int, float]] = []

    def pause(attempt: int, longest: float) -> float:
        attempts.append((attempt, longest))
        world.cache.away = len(attempts) not in (3, 5)
        if len(attempts) == 5:
            world.values._stop.set()
        return 0.0

    def wait(seconds: float) -> bool:
        """It has written, and Redis is away again."""
        assert 0 < seconds <= 5, "it does not look whether Redis has everything"
        world.cache.away = True
        return True

    world.cache.away = True
    with (
        patch.object(backoff, "seconds", pause),
        patch.object(world.values._wake, "wait", wait),
    ):
        world.values._run()
    assert attempts == [(number, 0.01) for number in (0, 1, 2, 0, 1)]
    assert world.metric("failures_total") == 5
    assert world.metric("up") == 0


@pytest.mark.parametrize(
    ("error", "traced"),
    [(Transient("away"), False), (Permanent("refused"), False), (ValueError("a mistake"), True)],
)
def test_only_a_mistake_of_ours_is_logged_with_its_trace(
    world: World, error: Exception, *, traced: bool
) -> None:
    def fail() -> None:
        world.values._stop.set()
        raise error

    world.cache.soon = [fail]
    with capture_logs() as logs:
        world.values._run()
    (line,) = logs
    assert (line["reason"], line["exc_info"]) == (str(error), traced)
    assert line["seconds"] <= 0.01


@pytest.mark.parametrize("error", [Transient("away"), Permanent("refused")])
def test_what_cannot_be_written_at_the_end_is_left_to_the_next_process(
    world: World, error: Exception
) -> None:
    world.values.step()
    world.store(quote(1.0))
    world.values._stop.set()

    def fail() -> None:
        raise error

    world.cache.soon = [fail]
    world.values._run()
    assert not world.cache.soon
    assert not world.cache.values


def test_nobody_waits_for_a_thread_that_redis_keeps(world: World) -> None:
    assert world.values._thread.daemon


@pytest.fixture
def running(world: World) -> Iterator[World]:
    with patch.object(backoff, "seconds", lambda *_: 0.001):
        world.values.start()
        yield world
        world.values.close()


def eventually(condition: Any) -> None:
    waiting = threading.Event()
    for _ in range(int(SOON / 0.005)):
        if condition():
            return
        waiting.wait(0.005)
    raise AssertionError("it did not happen")


def test_the_thread_survives_everything_and_says_how_it_is(running: World) -> None:
    world = running
    eventually(lambda: world.values.state == "ok")
    assert world.metric("up") == 1

    def refuse() -> None:
        raise Permanent("refused")

    def surprise() -> None:
        raise ValueError("a mistake of ours")

    world.cache.soon += [surprise, refuse]
    world.cache.away = True
    world.store(quote(1.0))
    eventually(lambda: (world.metric("failures_total") or 0) > 3)
    assert world.values.state == "unavailable"
    assert world.metric("up") == 0
    world.cache.away = False
    eventually(lambda: "IBM" in world.cache.values)
    eventually(lambda: world.values.state == "ok")
    assert (world.metric("writes_total") or 0) >= 1


def test_what_waits_is_written_before_the_process_ends(running: World) -> None:
    eventually(lambda: running.values.state == "ok")
    with patch.object(running.values._wake, "set", lambda: None):
        running.store(quote(1.0))
    running.values.close()
    assert running.cache.values["IBM"].price == "1.0"
    assert running.cache.closed


def test_neither_offering_nor_ending_waits_for_a_redis_that_hangs(world: World) -> None:
    hanging = threading.Event()

    def hang() -> None:
        hanging.wait(30)

    world.cache.soon.append(hang)
    world.values.start()
    with patch("millrace.processor.cache_writer.STOP_SECONDS", 0.05):
        world.store(quote(1.0))
        world.values.close()
    assert world.values.state == "unavailable"
    hanging.set()
    world.values._thread.join(SOON)


seconds = st.integers(0, 8) | st.integers(0, 1000)
batches = st.lists(
    st.tuples(st.sampled_from(SYMBOLS), seconds, st.integers(1, 3)), min_size=1, max_size=6
)


class Equal(RuleBasedStateMachine):
    """Quotes in any order, late and repeated, while Redis loses things and comes and goes."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.evicted: set[str] = set()

    @rule(batch=batches)
    def store(self, batch: list[tuple[str, int, int]]) -> None:
        """The event's id says symbol and time: the price of some repeated ones is another."""
        self.world.store(*(quote(float(p), seconds=s, symbol=name) for name, s, p in batch))

    @rule(batch=batches)
    def flow(self, batch: list[tuple[str, int, int]]) -> None:
        """Nothing else happens: there is no filling that makes up for what is wrong here."""
        self.settle()
        self.store(batch)
        self.settle()

    @rule(symbol=st.sampled_from(SYMBOLS), seconds=seconds)
    def store_and_die(self, symbol: str, seconds: int) -> None:
        self.world.quotes.insert(
            QUOTES.collection, made(quote(4.0, seconds=seconds, symbol=symbol))
        )
        self.world.start()

    @rule(symbol=st.sampled_from(SYMBOLS), seconds=seconds)
    def take_over(self, symbol: str, seconds: int) -> None:
        """Another processor stored it and died; this one reads it again, and it says otherwise."""
        theirs, own = (quote(p, seconds=seconds, symbol=symbol) for p in (6.0, 7.0))
        self.settle()
        self.world.quotes.insert(QUOTES.collection, made(theirs))
        self.world.store(own)
        self.settle()

    @rule(symbol=st.sampled_from(SYMBOLS), seconds=seconds)
    def store_elsewhere(self, symbol: str, seconds: int) -> None:
        """Another processor, which writes to Redis before this one looks."""
        documents = made(quote(5.0, seconds=seconds, symbol=symbol))
        inserted = self.world.quotes.insert(QUOTES.collection, documents)
        other = CacheWriter(self.world.cache, self.world.quotes.newest, [QUOTES], Metrics(), 0.01)
        other.offer(QUOTES.collection, documents, inserted)
        for _ in range(20):
            if not self.failed(other):
                return
        self.world.start()  # it could not, and died: what it had is made up for on a start

    @rule(symbol=st.sampled_from(SYMBOLS))
    def evict(self, symbol: str) -> None:
        if symbol in self.world.cache.values:
            self.evicted.add(symbol)
            self.world.cache.evict(symbol)

    @rule(what=st.sampled_from(["lose_everything", "hang_up"]))
    def suffer(self, what: str) -> None:
        getattr(self.world.cache, what)()

    @rule(which=st.sampled_from(["cache", "quotes"]))
    def come_or_go(self, which: str) -> None:
        server = getattr(self.world, which)
        server.away = not server.away

    @rule(
        soon=st.lists(
            st.sampled_from(["lose_everything", "hang_up", "fail", "is_calm"]), max_size=6
        )
    )
    def step(self, soon: list[str]) -> None:
        """Something may happen at each call that the step makes."""
        cache = self.world.cache
        cache.soon = [getattr(cache, name, lambda: None) for name in soon]
        self.failed(self.world.values)
        cache.soon.clear()

    @staticmethod
    def failed(values: CacheWriter) -> bool:
        try:
            values.step()
        except Transient:
            return True
        return False

    @invariant()
    def redis_never_goes_back(self) -> None:
        """Between losses, each value that is written is newer than the one before."""
        seen: dict[str, int] = {}
        for value in self.world.cache.written:
            known = seen.get(value.symbol)
            assert known is None or value.ts_ms >= known
            seen[value.symbol] = value.ts_ms

    @invariant()
    def redis_holds_only_what_is_stored(self) -> None:
        stored = [latest_values.of(QUOTES, d) for d in self.world.quotes.documents.values()]
        assert set(self.world.cache.values.values()) <= set(stored)

    def settle(self) -> None:
        """Everybody answers: one step, and Redis holds what MongoDB holds."""
        world = self.world
        world.cache.away = world.quotes.away = False
        world.values.step()
        if self.evicted - world.cache.values.keys():
            world.cache.lose_everything()  # what was evicted would come back with its next event
            world.values.step()
        self.evicted.clear()
        assert world.cache.values.keys() == world.quotes.symbols()
        assert all(world.quotes.is_newest(QUOTES, v) for v in world.cache.values.values())

    def teardown(self) -> None:
        self.settle()


Equal.TestCase.settings = configure(max_examples=200, stateful_step_count=25, deadline=None)
TestEqual = Equal.TestCase


class Forgetful(Equal):
    """The same where hardly anything may wait, and values are written one by one."""

    def __init__(self) -> None:
        super().__init__()
        self.limits = [
            patch("millrace.processor.cache_writer.MOST", 1),
            patch("millrace.processor.cache_writer.AT_ONCE", 1),
        ]
        for limit in self.limits:
            limit.start()

    def teardown(self) -> None:
        try:
            super().teardown()
        finally:
            for limit in self.limits:
                limit.stop()


Forgetful.TestCase.settings = configure(max_examples=100, stateful_step_count=25, deadline=None)
TestForgetful = Forgetful.TestCase


def disturbed(random: Random, count: int) -> list[Quote]:
    """Quotes in the order of their arrival: one in a hundred each late, repeated, out of order."""
    events = [
        quote(100.0 + random.random(), seconds=0.05 * n, symbol=random.choice(SYMBOLS))
        for n in range(count)
    ]
    arrivals: list[tuple[float, Quote]] = []
    for number, event in enumerate(events):
        arrival = float(number)
        kind = random.random()
        if kind < 0.01:
            arrival += random.uniform(50, 500)  # late
        elif kind < 0.02:
            arrivals.append((arrival + random.uniform(0, 500), event))  # repeated
        elif kind < 0.03:
            arrival += random.uniform(1.5, 4)  # passed by its neighbours
        arrivals.append((arrival, event))
    return [event for _, event in sorted(arrivals, key=lambda one: one[0])]


@pytest.mark.parametrize("seed", range(5))
def test_late_repeated_and_disordered_quotes_are_stored_once_and_never_lead_back(
    seed: int,
) -> None:
    random, world = Random(seed), World()
    arrived = disturbed(random, 4000)
    times = [event.observed_at for event in arrived]
    assert times != sorted(times)
    assert len(arrived) > len({event.event_id for event in arrived}) == 4000
    port: Any = world.quotes
    pace = Pace(Progress(), lambda: None, threading.Event())
    recall = Recall(QUOTES, port, pace)
    derivation = Derivation(QUOTES, (QUOTES.topic, 0), 0.05, recall)
    writer = Writer(
        port,
        port,
        world.metrics,
        dead_letters_topic="dead-letters",
        give_up=threading.Event(),
        longest_wait=0.01,
        stored=world.values.offer,
    )
    shown: dict[str, int] = {}
    place = 0
    while place < len(arrived):
        size = random.randint(1, 100)
        records = [
            Record(QUOTES.topic, 0, place + n, None, msgspec.json.encode(event))
            for n, event in enumerate(arrived[place : place + size])
        ]
        place += len(records)
        batch = Batch(QUOTES, {})
        pace.begin()
        derivation.take(records, batch, {}, records[0].offset)
        assert not batch.dead
        writer.complete(batch, lambda: True)
        if random.random() < 0.8:
            world.values.step()
        for symbol, value in world.cache.values.items():
            assert value.ts_ms >= shown.get(symbol, 0), "Redis went back"
            shown[symbol] = value.ts_ms
    world.values.step()
    assert world.quotes.documents.keys() == {event.event_id for event in arrived}
    assert world.cache.values.keys() == set(SYMBOLS)
    assert all(world.quotes.is_newest(QUOTES, value) for value in world.cache.values.values())
    stored = world.metrics.registry.get_sample_value("millrace_processor_documents_stored_total")
    assert stored == 4000
