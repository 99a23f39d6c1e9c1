"""A topic that was deleted and made again, or a log that was lost: offsets begin at 0 again."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from services.tests.processor.past import log_of
from services.tests.processor.process import Processor, in_one_thread
from services.tests.processor.scenario import FIRST, change, fail_with, metric, produce, start
from services.tests.processor.world import World
from services.tests.verify.remembered import Remembered

from millrace.clients.letter_headers import PREFIX
from millrace.processor.errors import Transient, Unknown
from millrace.processor.standing import LONGEST_SECONDS
from millrace.verify.data import oracle


@pytest.fixture
def world() -> Iterator[World]:
    made = World(1)
    with in_one_thread(made):
        yield made


def turn(processor: Processor, turns: int = 30) -> None:
    for _ in range(turns):
        processor.step()


def restarted(world: World, processor: Processor | None = None) -> Processor:
    if processor:
        processor.finish()
        world.processors.clear()
    return start(world)


def check(world: World) -> None:
    """What is stored from the log that there is, is what the oracle expects of it."""
    records = [world.record(r) for r in world.log[FIRST]]
    name = world.log_name(FIRST[0], world.log_id)
    own = {n: d for n, d in world.documents.items() if log_of(d["kafka"]) == name}
    elsewhere = Remembered([d for n, d in world.documents.items() if n not in own])
    elsewhere.documents = lambda *_: []  # type: ignore[method-assign]
    found = oracle.outcomes(world.feed, records, 0.05, elsewhere)
    assert own == {o.document["_id"]: o.document for o in found if isinstance(o, oracle.Stored)}
    is_own = world.committed_in.get(FIRST, world.log_id) == world.log_id
    assert (world.committed[FIRST] if is_own else 0) == len(records)


@pytest.mark.parametrize("restart", [True, False])
@pytest.mark.parametrize("running", [True, False])
def test_the_new_log_is_read_from_its_start_and_what_is_derived_is_of_it_alone(
    world: World, *, running: bool, restart: bool
) -> None:
    processor = start(world)
    for day, symbol in enumerate(("IBM", "MSFT", "IBM")):
        produce(world, day, 100.0, symbol=symbol)
    turn(processor)
    if not running:
        processor.finish()
        world.processors.clear()
    world.make_anew("second")
    for day in (5, 6, 7, 8):  # it is longer than the position in the one before
        produce(world, day, 50.0, symbol="MSFT")
    if not running:
        processor = start(world)
    turn(processor)
    if restart:
        processor = restarted(world, processor)
    ibm = produce(world, 9, 80.0, symbol="IBM")
    turn(processor)
    assert change(world, ibm) is None
    assert len(world.documents) == 3 + 5
    assert world.documents[ibm]["kafka"] == {
        "topic": "stock-data",
        "partition": 0,
        "offset": 4,
        "log": "second",
    }
    check(world)


@pytest.mark.parametrize("error", [Transient("away"), Unknown("not authorized on millrace")])
def test_nothing_is_lost_while_nobody_says_which_log_it_is(
    world: World, monkeypatch: pytest.MonkeyPatch, error: Transient | Unknown
) -> None:
    processor = start(world)
    made = [produce(world, day, 100.0) for day in (1, 2)]
    with monkeypatch.context() as patch:
        patch.setattr(world, "log_name", fail_with(error))
        turn(processor)
        assert bool(processor.progress.problem(1e9)) is isinstance(error, Unknown)
    world.now += LONGEST_SECONDS
    turn(processor)
    assert world.documents.keys() == {*made}
    check(world)


def test_it_is_told_and_counted(world: World) -> None:
    processor = start(world)
    produce(world, 1, 100.0)
    turn(processor)
    assert metric(processor, "new_logs_total") == 0
    world.make_anew("second")
    turn(processor)
    assert metric(processor, "new_logs_total") == 1
    turn(restarted(world, processor))
    assert metric(processor, "new_logs_total") == 1


@pytest.mark.parametrize("restart", [True, False])
def test_nothing_is_lost_that_is_read_before_it_is_known_that_the_log_is_another(
    world: World, *, restart: bool
) -> None:
    """The client went on at its position, and committed that."""
    processor = start(world)
    produce(world, 1, 100.0)
    produce(world, 2, 110.0)
    turn(processor)
    world.make_anew("second", forget=False, tell=False)
    news = [produce(world, day, 10.0 * day) for day in (4, 5, 6, 7)]
    turn(processor)
    assert {*news[2:]} <= world.documents.keys(), "these were read from where it was"
    assert not {*news[:2]} & world.documents.keys()
    if restart:
        world.told_id = world.log_id
        processor = restarted(world, processor)
    world.told_id = world.log_id
    turn(processor)
    assert {*news} <= world.documents.keys()
    check(world)


def test_an_event_that_came_in_the_former_log_is_stored_once_and_in_no_history(
    world: World,
) -> None:
    processor = start(world)
    old = produce(world, 1, 100.0)
    turn(processor)
    world.make_anew("second")
    assert produce(world, 1, 100.0) == old
    last = produce(world, 2, 110.0)
    turn(processor)
    assert "log" not in world.documents[old]["kafka"]
    assert change(world, last) is None
    check(world)


def test_what_came_before_an_event_of_the_former_log_is_not_asked_for(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    processor = start(world)
    produce(world, 1, 100.0)
    turn(processor)
    world.make_anew("second")
    monkeypatch.setattr(world, "newest_of", fail_with(Transient("away")))
    produce(world, 1, 100.0)
    turn(processor)
    assert world.committed[FIRST] == 1


def test_dead_letters_say_their_log(world: World) -> None:
    processor = start(world)
    world.produce(0, b"bad")
    turn(processor)
    world.make_anew("second")
    world.produce(0, b"bad")
    turn(processor)
    said = [dict(letter.headers).get(f"{PREFIX}log") for letter in world.letters]
    assert said == [None, b"second"]


def test_what_an_earlier_version_stored_and_committed_goes_on(world: World) -> None:
    """It knew no logs: that of its documents is the one that there is."""
    world.told_id = None
    processor = start(world)
    for day in (1, 2):
        produce(world, day, 100.0)
    turn(processor)
    processor.finish()
    world.processors.clear()
    assert world.committed_in == {FIRST: None}
    world.told_id = world.log_id
    processor = start(world)
    last = produce(world, 3, 110.0)
    turn(processor)
    assert change(world, last) == pytest.approx(10.0)
    assert metric(processor, "new_logs_total") == 0
    assert not any("log" in d["kafka"] for d in world.documents.values())
    check(world)
    world.make_anew("second")
    produce(world, 4, 10.0)
    turn(processor)
    check(world)


DO = st.sampled_from(["produce", "again", "turn", "restart", "make anew", "in secret", "tell"])


@given(st.lists(DO, max_size=30))
def test_whatever_happens_all_of_the_last_log_is_stored(steps: list[str]) -> None:
    world = World(1)
    with in_one_thread(world):
        processor = start(world)
        made: list[str] = []
        for day, step in enumerate(steps):
            match step:
                case "produce":
                    made.append(produce(world, day, 100.0 + day))
                case "again" if day:
                    made.append(produce(world, 0, 100.0))
                case "turn":
                    turn(processor, 3)
                case "restart":
                    processor = restarted(world, processor)
                case "make anew" | "in secret":
                    tell = step == "make anew"
                    world.make_anew(f"log {day}", forget=tell, tell=tell)
                    made.clear()
                case "tell":
                    world.told_id = world.log_id
        world.told_id = world.log_id
        turn(processor, 2 * len(steps) + 30)
        assert {*made} <= world.documents.keys()
        check(world)
