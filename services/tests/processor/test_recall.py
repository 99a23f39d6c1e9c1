"""What came before: asked for in few questions, between signs of life; little of it is kept."""

from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from itertools import pairwise
from threading import Event
from typing import Any
from unittest.mock import Mock

import msgspec
import pytest
from services.tests.feeds.events import START, metal, stock, tokens
from services.tests.processor.chance import away
from services.tests.processor.process import Processor, in_one_thread
from services.tests.processor.scenario import DAY, FIRST, change, fail_with, produce, start
from services.tests.processor.world import World

from millrace.clients.progress import Progress
from millrace.feeds.base import Series
from millrace.feeds.metals import METALS
from millrace.feeds.token_usage import TOKEN_USAGE
from millrace.processor import loop, pace, points, recall
from millrace.processor.pace import Interrupted, Pace
from millrace.processor.ports import Below
from millrace.processor.recall import Recall


class Watched:
    """Counts the questions to a world's database; each takes a second."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.asked: list[tuple[str, ...]] = []
        self.on_question: Callable[[int], None] = lambda _: None
        self._answer = world.newest_of
        world.newest_of = self  # type: ignore[method-assign]

    def __call__(self, feed: Any, source: str, symbols: Any, *rest: Any) -> Iterator[Any]:
        self.world.now += 1
        self.asked.append(tuple(symbols))
        self.on_question(len(self.asked))
        return self._answer(feed, source, symbols, *rest)


@pytest.fixture
def watched(world: World) -> Watched:
    """Two prices of each of 40 symbols, of which the first are stored."""
    before = start(world)
    for number in range(40):
        produce(world, 0, 100.0, symbol=f"S{number}")
    take_all(before, world)
    before.finish()
    world.processors.remove(before)
    for number in range(40):
        produce(world, 1, 110.0, symbol=f"S{number}")
    return Watched(world)


def take_all(processor: Processor, world: World) -> int:
    """Let the processor work until all is stored, and say how many turns that took."""
    turns = 0
    while len(world.documents) < sum(map(len, world.log.values())):
        processor.step()
        turns += 1
        assert turns < 1000
    return turns


def restarted(world: World, **settings: Any) -> Processor:
    """A new process, which gets 20 records at once."""
    processor = start(world, **settings)
    poll = processor.consumer.poll

    def poll_many(seconds: float) -> Any:
        polled = {p: [*records] for p, records in poll(seconds).items()}
        for partition, records in polled.items():
            more = world.log[partition][records[-1].offset + 1 :][: 20 - len(records)]
            records += more
            processor.consumer.seek({partition: records[-1].offset + 1})
        return polled

    processor.consumer.poll = poll_many  # type: ignore[method-assign]
    return processor


def test_the_series_of_a_batch_are_asked_for_in_one_question(
    watched: Watched, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recall, "AT_ONCE", 500)
    monkeypatch.setattr(loop, "MOST_SERIES", 500)
    take_all(restarted(world), world)
    assert [len(symbols) for symbols in watched.asked] == [20, 20]
    moves = [change(world, event_id) for event_id in [*world.documents][40:]]
    assert moves == pytest.approx([10.0] * 40)


def test_what_is_no_event_or_has_no_history_yet_makes_no_more_questions(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new symbol's past, and what four others lack: two questions."""
    monkeypatch.setattr(recall, "AT_ONCE", 500)
    monkeypatch.setattr(loop, "MOST_SERIES", 500)
    known = [f"S{number}" for number in range(4)]
    for day in (3, 4):
        world.processors.clear()
        processor = restarted(world)
        for symbol in known:
            produce(world, day, 100.0, symbol=symbol)
        take_all(processor, world)
    watched = Watched(world)
    processor.jobs.threads = 0
    late = [produce(world, 2, 110.0, symbol=symbol) for symbol in known[:2]]
    world.produce(0, b"no event")
    produce(world, 3, 100.0, symbol="NEW")
    late += [produce(world, 2, 110.0, symbol=symbol) for symbol in known[2:]]
    processor.step()
    assert sorted(watched.asked) == [("NEW",), tuple(known)]
    processor.jobs.threads = 2
    turn_until_committed(processor, world)
    assert [change(world, event_id) for event_id in late] == [None] * 4


def test_between_two_questions_there_is_a_sign_of_life(
    watched: Watched, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace, "TAKE_SECONDS", 1000.0)
    processor = restarted(world)
    beats: list[float] = []
    processor.loop._beat = processor.loop._pace._beat = lambda: beats.append(world.now)
    take_all(processor, world)
    assert len(watched.asked) == 40
    gaps = [later - earlier for earlier, later in pairwise(beats)]
    assert max(gaps) < 2
    assert processor.progress.unheard() < 5


def test_after_some_time_what_is_complete_is_handed_over_and_nothing_is_asked_twice(
    watched: Watched, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace, "TAKE_SECONDS", 3.5)
    processor = restarted(world)
    began = len(world.documents)
    for _ in range(5):
        processor.step()
    assert began < len(world.documents) < 80
    take_all(processor, world)
    assert len(watched.asked) == 40
    assert world.committed[FIRST] > 40


def test_an_error_keeps_what_was_answered(
    watched: Watched, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace, "TAKE_SECONDS", 1000.0)

    def fail(number: int) -> None:
        if not number % 3:
            raise away()

    watched.on_question = fail
    processor = restarted(world)
    take_all(processor, world)
    answered = [symbols for n, symbols in enumerate(watched.asked, start=1) if n % 3]
    assert sorted(answered) == sorted((f"S{number}",) for number in range(40))


def test_being_told_to_stop_ends_the_asking(
    watched: Watched, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace, "TAKE_SECONDS", 1000.0)
    processor = restarted(world)
    watched.on_question = lambda number: processor.stop.set() if number == 5 else None
    processor.loop.run()
    assert len(watched.asked) == 5
    world.processors.clear()
    take_all(start(world), world)


def test_few_series_are_known_at_a_time_and_the_others_are_asked_for_again(
    watched: Watched, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace, "TAKE_SECONDS", 1000.0)
    monkeypatch.setattr(loop, "MOST_SERIES", 5)
    processor = restarted(world)
    for day, price in ((2, 121.0), (3, 133.1)):
        for number in range(40):
            produce(world, day, price, symbol=f"S{number}")
    take_all(processor, world)
    known = [len(derivation.histories) for derivation in processor.loop._derivations.values()]
    # Two generations, and what came with the last batches.
    assert sum(known) <= 2 * (5 + 20)
    moves = [change(world, event_id) for event_id in [*world.documents][40:]]
    assert moves == pytest.approx([10.0] * 120)


def test_partitions_share_what_may_be_known(
    watched: Watched, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace, "TAKE_SECONDS", 1000.0)
    monkeypatch.setattr(loop, "MOST_SERIES", 10)
    processor = restarted(world)
    for day in (0, 1, 2):
        for number in range(80):
            produce(world, day, 100.0, partition=1, symbol=f"T{number}")
    take_all(processor, world)
    known = [len(derivation.histories) for derivation in processor.loop._derivations.values()]
    assert len(known) == 2
    assert max(known) <= 2 * 20, "two generations of what came with a batch"


def test_a_restart_asks_for_the_newest_and_for_one_price_a_day_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World(1, METALS)
    with in_one_thread(world), monkeypatch.context() as patch:
        patch.setattr(recall, "AT_ONCE", 500)
        patch.setattr(pace, "TAKE_SECONDS", 1000.0)
        names = [f"M{number}" for number in range(10)]
        for hour in range(30):
            for name in names:
                event = metal(100.0 + hour, hours=hour, symbol=name)
                world.produce(0, msgspec.json.encode(event))
        take_all(start(world), world)
        world.processors.clear()
        watched = Watched(world)
        for name in names:
            event = metal(206.0, hours=27 + 24, symbol=name)
            world.produce(0, msgspec.json.encode(event))
        take_all(restarted(world), world)
        assert watched.asked == [tuple(names)] * 2
        changes = [d["meta"]["change_pct_24h"] for d in [*world.documents.values()][-10:]]
        assert changes == pytest.approx([100 * (206 / 127 - 1)] * 10)


def test_a_window_is_read_whole_for_each_series_with_a_sign_of_life_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World(1, TOKEN_USAGE)
    with in_one_thread(world), monkeypatch.context() as patch:
        patch.setattr(recall, "AT_ONCE", 500)
        patch.setattr(pace, "TAKE_SECONDS", 1000.0)
        for second in range(0, 20, 2):
            for model in range(5):
                event = tokens(10, 5, seconds=second, model=f"model-{model}")
                world.produce(0, msgspec.json.encode(event))
        take_all(start(world), world)
        world.processors.clear()
        for model in range(5):
            event = tokens(10, 5, seconds=22, model=f"model-{model}")
            world.produce(0, msgspec.json.encode(event))
        processor = restarted(world)
        beats: list[float] = []
        processor.loop._beat = processor.loop._pace._beat = lambda: beats.append(world.now)
        before = len(beats)
        turns = take_all(processor, world)
        assert len(beats) - before >= turns + 4
        rates = [d["meta"]["tokens_per_second"] for d in [*world.documents.values()][-5:]]
        assert rates == pytest.approx([165 / 22] * 5)


def test_many_values_of_one_series_are_not_kept(world: World) -> None:
    processor = start(world)
    for day in range(300):
        produce(world, day, 100.0)
    take_all(processor, world)
    (derivation,) = processor.loop._derivations.values()
    (history,) = derivation.histories.young.values()
    assert len(history) <= 2 * (points.KEPT + 3 * 10)


def test_a_price_that_is_late_is_compared_with_what_is_stored(world: World) -> None:
    processor = start(world)
    for day in range(0, 100, 2):
        produce(world, day, 100.0 + day)
    take_all(processor, world)
    late = [produce(world, day, 400.0) for day in (91, 95, 93)]
    take_all(processor, world)
    moves = [change(world, event_id) for event_id in late]
    assert moves == pytest.approx([100 * (400 / (100 + day) - 1) for day in (90, 94, 92)])


def test_nobody_asks_where_events_are_stored_while_clocks_are_right_and_partitions_stay(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(world, "places", fail_with(away()))
    for restart in range(2):
        processor = start(world)
        for day in range(3):
            for partition, symbol in enumerate(("IBM", "GOOG")):
                produce(world, 3 * restart + day, 100.0, partition=partition, symbol=symbol)
        take_all(processor, world)
        processor.finish()
        world.processors.clear()


def produce_ahead(world: World, day: int, price: float, *, partition: int = 0) -> str:
    """A price of day 90, which the log has on an earlier day."""
    event = stock(price, minutes=90 * DAY)
    logged_at = START + timedelta(days=day)
    world.produce(partition, msgspec.json.encode(event), logged_at=logged_at)
    return event.event_id


def test_an_event_whose_time_was_not_believed_is_in_a_history_once(world: World) -> None:
    processor = start(world)
    produce_ahead(world, 1, 100.0)
    take_all(processor, world)
    produce(world, 2, 50.0)
    produce_ahead(world, 3, 100.0)
    last = produce(world, 4, 60.0)
    turn_until_committed(processor, world)
    assert change(world, last) == pytest.approx(20.0)


def test_and_in_none_where_it_is_stored_from_another_partition(world: World) -> None:
    processor = start(world)
    produce(world, 1, 50.0)
    take_all(processor, world)
    produce_ahead(world, 2, 100.0, partition=1)
    take_all(processor, world)
    produce_ahead(world, 2, 100.0)
    last = produce(world, 3, 60.0)
    turn_until_committed(processor, world)
    assert change(world, last) == pytest.approx(20.0)


def test_nor_where_its_time_has_come_when_it_is_read_again_after_a_restart(world: World) -> None:
    before = start(world)
    event_id = produce_ahead(world, 1, 100.0)
    produce(world, 2, 50.0)
    take_all(before, world)
    before.finish()
    world.processors.clear()
    processor = start(world)
    assert produce_ahead(world, 90, 100.0) == event_id
    last = produce(world, 91, 60.0)
    turn_until_committed(processor, world)
    assert change(world, last) is None, "the price of day 2 is too long ago"


def test_where_events_are_stored_is_asked_in_portions_and_whether_that_matters_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(recall, "AT_ONCE", 6)
    world = World(1, TOKEN_USAGE)
    claims, places = Mock(wraps=world.has_claims), Mock(wraps=world.places)
    monkeypatch.setattr(world, "has_claims", claims)
    monkeypatch.setattr(world, "places", places)
    known = Recall(TOKEN_USAGE, world, Pace(Progress(), lambda: None, Event()))
    for _ in range(2):
        assert known.places(lambda: [str(number) for number in range(20)]) == {}
    assert [len(call.args[1]) for call in places.call_args_list] == 2 * [6, 6, 6, 2]
    claims.assert_called_once_with(TOKEN_USAGE)


def turn_until_committed(processor: Processor, world: World) -> None:
    for _ in range(100):
        processor.step()
    assert world.committed == {partition: len(records) for partition, records in world.log.items()}


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> Pace:
    """A pace that has no time for a second question."""
    monkeypatch.setattr(pace, "TAKE_SECONDS", -1.0)
    made = Pace(Progress(), lambda: None, Event())
    made.begin()
    return made


def until_interrupted(answers: Iterable[Any]) -> list[Any]:
    """What was answered before there was no more time."""
    found = []
    with pytest.raises(Interrupted):
        for one in answers:
            found.append(one)  # noqa: PERF402 - what came before it ended is kept
    return found


M1, M2 = Series("test", "M1"), Series("other", "M2")


def test_however_little_time_there_is_one_question_is_answered(impatient: Pace) -> None:
    asked = Recall(METALS, World(1, METALS), impatient)
    below = Below(0, 9)
    (found,) = until_interrupted(asked.newest([(M1, None), (M2, None)], below))
    assert found == (M1, None, None)
    ((series, _),) = until_interrupted(asked.histories([M1, M2], below))
    assert series == M1
    windows = Recall(TOKEN_USAGE, World(1, TOKEN_USAGE), impatient)
    both = [Series("test", name) for name in ("A", "B")]
    ((series, _),) = until_interrupted(windows.histories(both, below))
    assert series == both[0]
