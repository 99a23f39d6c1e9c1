"""Partitions that stand still in the loop, and what operators command about them."""

import dataclasses
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from services.tests.feeds.events import tokens
from services.tests.processor.chance import away
from services.tests.processor.process import Processor, in_one_thread
from services.tests.processor.scenario import FIRST, change, fail_with, metric, produce, start
from services.tests.processor.world import World

from millrace.clients.letter_headers import PARTIAL, PREFIX, SKIPPED
from millrace.clients.operator_commands import Command
from millrace.config import Settings
from millrace.feeds.token_usage import TOKEN_USAGE
from millrace.processor import backoff, loop, points
from millrace.processor.batch import Inserted
from millrace.processor.breaker import Breaker
from millrace.processor.errors import Stuck, Unknown
from millrace.processor.standing import LONGEST_SECONDS
from millrace.verify.data.oracle import Stored

OTHER = ("other", 0)


def test_most_records_being_bad_lets_their_feed_stand_still(world: World) -> None:
    processor = start(world, processor_breaker_records=10, processor_breaker_share=0.5)
    for day in range(12):
        produce(world, day, 100.0)
    for _ in range(12):
        processor.step()
    for _ in range(20):
        world.produce(0, b"no event")
    for _ in range(200):
        processor.step()
    assert 0 < len(world.letters) < 10
    assert world.committed[FIRST] == 12 + len(world.letters)
    assert "could not be processed" in (processor.progress.problem(60) or "")
    produce(world, 1, 100.0, partition=1, symbol="GOOG")
    for _ in range(400):
        processor.step()
    assert world.committed["stock-data", 1] == 0, "its feed goes on"
    processor.finish()
    assert len(world.letters) < 10


def bad_stream(world: World) -> Processor:
    """A processor that a stream of bad records lets stand still, at offset 4."""
    processor = start(world, processor_breaker_records=10, processor_breaker_share=0.5)
    for day in range(4):
        produce(world, day, 100.0)
        turn(processor, 5)
    for _ in range(30):
        world.produce(0, b"no event")
        turn(processor, 5)
    assert processor.standing.places(), "the breaker is closed"
    return processor


def turn(processor: Processor, turns: int) -> None:
    for _ in range(turns):
        processor.step()


def command(first: int, end: int, *, skip: bool) -> Command:
    return Command(first, end, skip, reason="known", by="operator", at=datetime.now(UTC))


@pytest.mark.parametrize("kill", [True, False])
def test_no_restart_makes_the_breaker_forget(world: World, *, kill: bool) -> None:
    processor = bad_stream(world)
    letters = len(world.letters)
    for _ in range(5):
        world.processors.remove(processor)
        if not kill:
            processor.finish()
        processor = start(world, processor_breaker_records=10, processor_breaker_share=0.5)
        turn(processor, 100)
        assert len(world.letters) == letters
        assert "stands still" in (processor.progress.problem(60) or "")


def test_a_processor_that_dies_before_the_breaker_opens_counts_on(world: World) -> None:
    for _ in range(30):
        processor = start(world, processor_breaker_records=10, processor_breaker_share=0.5)
        world.produce(0, b"no event")
        turn(processor, 10)
        world.processors.remove(processor)
    assert len(world.letters) < 10


def test_an_operator_lets_a_feed_read_on_whatever_is_bad_up_to_its_end(world: World) -> None:
    processor = bad_stream(world)
    (offset, _) = processor.standing.places()[FIRST]
    world.commands[FIRST] = command(offset, len(world.log[FIRST]), skip=False)
    turn(processor, 200)
    assert world.committed[FIRST] == 34
    assert len(world.letters) == 30
    produce(world, 5, 100.0)
    turn(processor, 50)
    assert world.committed[FIRST] == 35
    assert processor.progress.problem(60) is None
    for _ in range(30):
        world.produce(0, b"no event")
        turn(processor, 5)
    assert len(world.letters) < 30 + 15, "the breaker stays closed for ever"
    assert processor.standing.places()


def test_what_is_behind_a_skipped_record_is_counted(world: World) -> None:
    processor = bad_stream(world)
    (offset, _) = processor.standing.places()[FIRST]
    letters = len(world.letters)
    for skipped in range(offset, offset + 3):
        world.commands[FIRST] = command(skipped, skipped + 1, skip=True)
        turn(processor, 100)
        assert processor.standing.places()[FIRST] == (skipped + 1, True)
        assert len(world.letters) == letters + 1
        letters += 1


def with_a_bug(world: World) -> Processor:
    """A processor that can make no document of the symbol WRONG."""
    make = world.feed.document

    def document(event: Any, meta: Any) -> Any:
        if event.symbol == "WRONG":
            raise TypeError("a bug")
        return make(event, meta)

    processor = start(world)
    processor.loop._feeds = {"stock-data": dataclasses.replace(world.feed, document=document)}
    return processor


def test_what_is_skipped_behind_the_breaker_is_in_no_history(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(points, "KEPT", 16)
    processor = start(world, processor_breaker_records=10, processor_breaker_share=0.5)
    for day in range(5):
        produce(world, day, 100.0)
        turn(processor, 5)
    for _ in range(4):
        world.produce(0, b"no event")
        turn(processor, 5)
    world.produce(0, b"no event")
    produce(world, 5, 200.0)
    world.produce(0, b"no event")
    turn(processor, 5)
    assert processor.standing.places()[FIRST] == (9, True)
    world.commands[FIRST] = command(9, 12, skip=True)
    turn(processor, 100)
    last = produce(world, 6, 110.0)
    turn(processor, 100)
    world.commands[FIRST] = command(12, 13, skip=False)
    turn(processor, 100)
    assert change(world, last) == pytest.approx(10)


def test_an_operator_skips_records_that_stop_a_partition(world: World) -> None:
    processor = with_a_bug(world)
    produce(world, 0, 100.0)
    for day in range(2):
        produce(world, day, 100.0, symbol="WRONG")
    produce(world, 2, 110.0)
    world.commands[FIRST] = command(7, 9, skip=True)
    turn(processor, 100)
    assert world.committed[FIRST] == 1, "a command about other offsets is obeyed"
    world.commands[FIRST] = command(1, 3, skip=True)
    turn(processor, 100)
    assert world.committed[FIRST] == 4
    assert len(world.documents) == 2
    said = [dict(letter.headers) for letter in world.letters]
    assert [one[f"{PREFIX}offset"] for one in said] == [b"1", b"2"]
    assert {one[f"{PREFIX}stage"] for one in said} == {SKIPPED.encode()}
    assert {one[f"{PREFIX}exception.message"] for one in said} == {b"skipped: known"}
    assert [letter.value for letter in world.letters] == [r.value for r in world.log[FIRST][1:3]]
    assert processor.progress.problem(60) is None


def test_what_was_commanded_holds_when_it_is_read_again(world: World) -> None:
    for day in range(3):
        produce(world, day, 100.0)
    world.commands[FIRST] = command(1, 2, skip=True)
    processor = start(world)
    turn(processor, 20)
    assert world.committed[FIRST] == 3
    assert len(world.letters) == 1
    assert len(world.documents) == 2


def test_what_is_tried_again_by_itself_obeys_what_was_commanded_a_moment_ago(world: World) -> None:
    processor = start(world)
    produce(world, 0, 100.0)
    processor.consumer.failures = [Stuck(FIRST, 0, "strange")]
    turn(processor, 1)
    assert processor.standing.places()[FIRST][0] == 0
    world.now += LONGEST_SECONDS
    processor.loop._looked_at = world.now  # It has just looked for commands.
    world.commands[FIRST] = command(0, 1, skip=True)
    turn(processor, 20)
    assert not world.documents
    assert len(world.letters) == 1
    assert world.committed[FIRST] == 1


def test_where_commands_cannot_be_read_the_other_partitions_go_on(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    processor = start(world)
    produce(world, 0, 100.0)
    processor.consumer.failures = [Stuck(FIRST, 0, "strange")]
    turn(processor, 1)
    asked: list[float] = []

    def commands(_: object) -> Any:
        asked.append(world.now)
        raise away()

    with monkeypatch.context() as patch:
        patch.setattr(processor.consumer, "commands", commands)
        produce(world, 0, 100.0, partition=1, symbol="GOOG")
        world.now += 2
        began = world.now
        turn(processor, 200)
        assert world.committed == {FIRST: 0, ("stock-data", 1): 1}
        assert len(asked) < 5 + 2 * (world.now - began) / 5, "it asks in every turn"
    world.now += LONGEST_SECONDS
    turn(processor, 20)
    assert world.committed == {FIRST: 1, ("stock-data", 1): 1}


@pytest.mark.parametrize("skip", [True, False])
def test_what_is_commanded_is_taken_though_the_other_records_of_its_feed_have_to_wait(
    world: World, *, skip: bool
) -> None:
    ask = world.newest_of

    def fail_once(*_: Any) -> Any:
        world.newest_of = ask  # type: ignore[method-assign]
        raise away()

    event_id = produce(world, 0, 100.0)
    other = produce(world, 0, 100.0, partition=1, symbol="GOOG")
    world.commands[FIRST] = command(0, 1, skip=skip)
    processor = start(world)
    world.newest_of = fail_once  # type: ignore[method-assign]
    turn(processor, 20)
    assert world.newest_of == ask
    assert world.documents.keys() == ({other} if skip else {other, event_id})
    assert len(world.letters) == skip
    assert world.committed == {FIRST: 1, ("stock-data", 1): 1}


def test_an_operator_skips_what_cannot_even_be_read(world: World) -> None:
    processor = start(world)
    produce(world, 0, 100.0)
    produce(world, 1, 100.0)
    stuck = Stuck(FIRST, 0, "no end")
    processor.consumer.failures = [stuck]
    turn(processor, 1)
    world.commands[FIRST] = command(0, 1, skip=True)
    for _ in range(50):
        if processor.consumer.look().positions[FIRST][0] == 0:
            processor.consumer.failures = [stuck]
        processor.step()
    assert world.committed[FIRST] == 2
    (letter,) = world.letters
    assert (letter.key, letter.value) == (None, b"")
    assert PARTIAL in dict(letter.headers)


def former_and_next(world: World) -> tuple[Processor, Processor]:
    """A processor that has record 1 in flight, and another, which has its partition now."""
    former = start(world)
    produce(world, 0, 100.0)
    turn(former, 20)
    assert world.committed[FIRST] == 1
    former.jobs.threads = 0
    produce(world, 1, 200.0)
    produce(world, 1, 100.0, partition=1, symbol="GOOG")
    turn(former, 2)
    assert len(former.jobs) == 1
    other = Processor(world, Settings(), lambda: None)
    world.processors.append(other)
    world.rebalance({FIRST: other, ("stock-data", 1): former})
    return former, other


def test_what_is_skipped_is_not_stored_by_who_had_it_in_flight(world: World) -> None:
    former, other = former_and_next(world)
    other.consumer.failures = [Stuck(FIRST, 1, "strange")]
    turn(other, 1)
    world.commands[FIRST] = command(1, 2, skip=True)
    world.now += LONGEST_SECONDS
    later = produce(world, 2, 110.0)
    turn(other, 20)
    assert (len(world.letters), world.committed[FIRST]) == (1, 3)
    assert change(world, later) == pytest.approx(10)
    former.jobs.run(0)  # before it turns again: it need not know yet
    former.jobs.threads = 2
    turn(former, 20)
    assert {(d["kafka"]["partition"], d["kafka"]["offset"]) for d in world.documents.values()} == {
        (0, 0),
        (0, 2),
        (1, 0),
    }
    assert world.committed["stock-data", 1] == 1, "what it kept is not read again"


def test_what_is_read_again_as_its_batch_was_left_is_counted_once() -> None:
    """It was in one batch with records of a partition that went."""
    world = World(2, TOKEN_USAGE)
    kept, went = world.log
    with in_one_thread(world):
        processor = start(world)
        processor.jobs.threads = 0
        for partition in range(2):
            event = tokens(100, seconds=10, model=f"model-{partition}")
            world.produce(partition, msgspec.json.encode(event))
        turn(processor, 2)
        other = Processor(world, Settings(), lambda: None)
        world.processors.append(other)
        world.rebalance({kept: processor, went: other})
        processor.jobs.threads = 2
        turn(processor, 20)
        event = tokens(200, seconds=20, model="model-0")
        world.produce(0, msgspec.json.encode(event))
        turn(processor, 20)
    assert world.committed == {kept: 2, went: 0}
    found = {o.document["_id"]: o.document for o in world.expected(1e9) if isinstance(o, Stored)}
    assert world.documents == {n: d for n, d in found.items() if n in world.documents}
    assert len(world.documents) == 2


def test_what_is_read_again_behind_a_failed_write_is_not_stored_before(world: World) -> None:
    processor = start(world)
    produce(world, 0, 100.0)
    turn(processor, 20)
    processor.jobs.threads = 0
    for day, price in ((1, 200.0), (2, 110.0)):
        behind = produce(world, day, price)
        turn(processor, 2)
    assert len(processor.jobs) == 2
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(world, "insert", fail_with(Unknown("strange")))
        processor.jobs.run(0)
    processor.jobs.threads = 2
    turn(processor, 1)
    assert processor.standing.places()[FIRST][0] == 1
    world.commands[FIRST] = command(1, 2, skip=True)
    turn(processor, 100)
    assert world.committed[FIRST] == 3
    assert change(world, behind) == pytest.approx(10)


def test_what_is_in_flight_of_a_former_log_is_stored_though_nobody_reads_it_again(
    world: World,
) -> None:
    former = start(world)
    former.jobs.threads = 0
    event = produce(world, 0, 100.0)
    turn(former, 2)
    assert len(former.jobs) == 1
    world.make_anew("second")
    turn(former, 2)
    former.jobs.run(0)
    assert event in world.documents


def test_an_error_that_nobody_knows_lets_its_partition_stand_still_until_it_passes(
    world: World,
) -> None:
    processor = with_a_bug(world)
    produce(world, 0, 100.0)
    produce(world, 1, 100.0, symbol="WRONG")
    produce(world, 2, 100.0)
    produce(world, 0, 100.0, partition=1, symbol="GOOG")
    for _ in range(20):
        processor.step()
    assert world.committed == {FIRST: 1, ("stock-data", 1): 1}
    assert processor.progress.problem(60) == (
        "stock-data/0 stands still at offset 1: TypeError: a bug"
    )
    assert processor.standing.shown()[0]["offset"] == 1
    produce(world, 1, 100.0, partition=1, symbol="GOOG")
    for _ in range(50):
        processor.step()
    assert world.committed == {FIRST: 1, ("stock-data", 1): 2}
    assert metric(processor, "standing", topic="stock-data", partition="0") == 1
    processor.loop._feeds = {"stock-data": world.feed}
    for _ in range(400):
        processor.step()
    assert world.committed[FIRST] == 3
    assert processor.progress.problem(60) is None


def test_a_write_that_fails_for_no_known_reason_is_tried_again_later(world: World) -> None:
    processor = start(world, processor_max_in_flight=3)
    insert = world.insert
    world.insert = fail_with(Unknown("code 4711"))  # type: ignore[method-assign]
    for day in range(3):
        produce(world, day, 100.0)
        processor.step()
    for _ in range(5):
        processor.step()
    assert world.committed[FIRST] == 0
    assert "stock-data/0 stands still at offset 0: Unknown: code 4711" in (
        processor.progress.problem(60) or ""
    )
    world.insert = insert  # type: ignore[method-assign]
    for _ in range(400):
        processor.step()
    assert world.committed[FIRST] == 3
    assert len(world.documents) == 3


def test_a_partition_that_cannot_be_read_is_named_and_left_alone(world: World) -> None:
    processor = start(world)
    produce(world, 0, 100.0)
    produce(world, 0, 100.0, partition=1, symbol="GOOG")
    processor.consumer.failures = [Stuck(FIRST, 0, "CorruptRecordError: no end")]
    for _ in range(4):
        processor.step()
    assert world.committed == {FIRST: 0, ("stock-data", 1): 1}
    assert processor.progress.problem(60) == (
        "stock-data/0 stands still at offset 0: CorruptRecordError: no end"
    )
    for _ in range(20):
        processor.step()
    assert world.committed[FIRST] == 1


def test_a_partition_is_tried_again_though_its_neighbours_are_always_busy(world: World) -> None:
    processor = start(world)
    produce(world, 0, 100.0)
    processor.consumer.failures = [Stuck(FIRST, 0, "CorruptRecordError: no end")]
    processor.step()
    processor.jobs.threads = 0
    for day in range(30):
        produce(world, day, 100.0, partition=1, symbol="GOOG")
        written = len(processor.jobs)
        processor.step()
        for _ in range(written):
            processor.jobs.run(0)
        world.now += 1.0
    assert world.committed["stock-data", 1] > 10
    assert world.committed[FIRST] == 1


def two_feeds(world: World) -> Processor:
    """A processor that reads another feed too, whose collection is `other`."""
    processor = Processor(world, Settings(), lambda: None)
    processor.consumer._state.change_subscription(["stock-data", "other"])
    processor.loop._feeds = {
        "stock-data": world.feed,
        "other": dataclasses.replace(world.feed, topic="other", collection="other"),
    }
    processor.loop._breakers["other"] = Breaker(1000, 0.5)
    world.log[OTHER], world.committed[OTHER] = [], 0
    world.processors.append(processor)
    world.rebalance(dict.fromkeys(world.log, processor))
    return processor


def produce_both(world: World, day: int) -> str:
    event_id = produce(world, day, 100.0)
    world.log[OTHER].append(dataclasses.replace(world.log[FIRST][day], topic="other", partition=0))
    return event_id


def test_a_feed_whose_writes_fail_does_not_concern_the_others(world: World) -> None:
    insert = world.insert

    def fail_one(collection: str, documents: Sequence[dict[str, Any]]) -> Inserted:
        if collection == "other":
            raise Unknown("code 4711")
        return insert(collection, documents)

    world.insert = fail_one  # type: ignore[method-assign]
    processor = two_feeds(world)
    for day in range(5):
        event_id = produce_both(world, day)
        for _ in range(5):
            processor.step()
        assert event_id in world.documents
    assert (world.committed[FIRST], world.committed[OTHER]) == (5, 0)
    assert processor.progress.problem(60) == (
        "other/0 stands still at offset 0: Unknown: code 4711"
    )


def test_a_feed_whose_past_cannot_be_asked_for_does_not_concern_the_others(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    newest_of, asked = world.newest_of, []

    def fail_one(feed: Any, *question: Any) -> Any:
        if feed.collection == "other":
            asked.append(world.now)
            raise away()
        return newest_of(feed, *question)

    processor = two_feeds(world)
    slept: list[float] = []
    monkeypatch.setattr(world, "newest_of", fail_one)
    monkeypatch.setattr(processor.stop, "wait", slept.append)
    monkeypatch.setattr(backoff, "seconds", lambda attempt, _: 10.0 * (attempt + 1))
    for day in range(5):
        event_id = produce_both(world, day)
        for _ in range(5):
            processor.loop._try_step()
        assert event_id in world.documents
    assert (world.committed[FIRST], world.committed[OTHER]) == (5, 0)
    assert (len(asked), slept) == (1, [])
    for rest in (10, 20):
        world.now = asked[-1] + rest
        before = len(asked)
        for _ in range(5):
            processor.loop._try_step()
        assert len(asked) == before + 1, "it does not wait longer"


@pytest.mark.parametrize("ends", [0, 1])
def test_a_partition_goes_on_whose_place_gives_no_record_any_more(world: World, ends: int) -> None:
    """There is the end of a transaction, or the end of the log."""
    processor = start(world)
    processor.consumer.failures = [Stuck(FIRST, 0, "CorruptRecordError: no end")]
    for _ in range(ends):
        world.end_transaction(0)
    turn(processor, 1)
    assert processor.standing.places()
    turn(processor, 60)
    assert processor.progress.problem(60) is None
    assert world.committed[FIRST] == ends


def test_a_partition_stands_still_until_what_it_stood_at_is_stored(world: World) -> None:
    processor = start(world)
    processor.jobs.threads = 0
    produce(world, 0, 100.0)
    produce(world, 1, 100.0)
    processor.consumer.failures = [Stuck(FIRST, 0, "CorruptRecordError: no end")]
    turn(processor, 100)
    assert len(processor.jobs) == 1, "it is not being written"
    assert FIRST in processor.standing
    assert metric(processor, "standing", topic="stock-data", partition="0") == 1
    processor.jobs.threads = 2
    turn(processor, 60)
    assert FIRST not in processor.standing
    assert metric(processor, "standing", topic="stock-data", partition="0") is None


def test_it_goes_on_as_soon_as_what_it_stood_at_is_stored(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "LOOK_SECONDS", 1e9)
    processor = start(world)
    produce(world, 0, 100.0)
    processor.consumer.failures = [Stuck(FIRST, 0, "CorruptRecordError: no end")]
    turn(processor, 1)
    world.now += LONGEST_SECONDS
    turn(processor, 10)
    assert world.committed[FIRST] == 1
    assert processor.progress.problem(1e9) == "it is not in its consumer group", "it has not looked"
    assert not processor.standing.shown()


def test_nobody_is_asked_for_orders_while_nothing_stands_still(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    processor = start(world)
    turn(processor, 2)  # It knows what was commanded of what came.
    monkeypatch.setattr(processor.consumer, "commands", fail_with(away()))
    produce(world, 0, 100.0)
    for _ in range(100):
        processor.loop.step()
    assert world.committed[FIRST] == 1
