"""Partitions that were added to a topic: what is derived follows from what is stored alone."""

import msgspec
import pytest
from services.tests.feeds.events import tokens
from services.tests.processor.process import Processor, in_one_thread
from services.tests.processor.scenario import change, produce, start
from services.tests.processor.world import World
from services.tests.verify.remembered import Remembered

from millrace.feeds.token_usage import TOKEN_USAGE
from millrace.verify.data import oracle

SECOND = ("stock-data", 1)


def turn(processor: Processor, turns: int = 20) -> None:
    for _ in range(turns):
        processor.step()


def check(world: World, number: int) -> None:
    """What is stored of a partition is what the oracle expects of it."""
    places = {n: d["kafka"]["partition"] for n, d in world.documents.items()}
    elsewhere = Remembered([world.documents[n] for n, p in places.items() if p != number])
    records = [
        oracle.Record(r.partition, r.offset, r.key, r.value, r.timestamp, r.timestamp_type)
        for r in world.log[world.feed.topic, number]
    ]
    found = oracle.outcomes(world.feed, records, 0.05, elsewhere)
    stored = [o.document for o in found if isinstance(o, oracle.Stored)]
    assert [world.documents[d["_id"]] for d in stored] == stored
    assert len(stored) == list(places.values()).count(number)


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("restart", [True, False])
def test_an_event_that_is_stored_from_another_partition_is_in_no_history(
    world: World, *, restart: bool, known: bool
) -> None:
    """The symbol moved to the new partition, and its last price was polled again."""
    processor = start(world)
    produce(world, 1, 100.0)
    turn(processor)
    if known:
        produce(world, 2, 105.0, partition=1)
        turn(processor)
    produce(world, 1, 100.0, partition=1)
    turn(processor)
    if restart:
        processor.finish()
        world.processors.clear()
        processor = start(world)
    last = produce(world, 3, 110.0, partition=1)
    turn(processor)
    expected = 100 * (110 / 105 - 1) if known else None
    assert change(world, last) == (pytest.approx(expected) if known else None)
    assert world.committed[SECOND] == len(world.log[SECOND])
    check(world, 1)


def test_what_is_read_again_after_a_crash_is_in_its_window() -> None:
    """It is stored already, from the very place that it is read from."""
    world = World(1, TOKEN_USAGE)
    with in_one_thread(world):
        for second in (5, 10, 15):
            event = tokens(100 * second, seconds=second, span_s=5.0)
            world.produce(0, msgspec.json.encode(event))
            turn(start(world))
            world.processors.clear()
            world.committed = dict.fromkeys(world.log, 0)
    assert len(world.documents) == 3
    check(world, 0)


@pytest.mark.parametrize("restart", [True, False])
def test_nor_in_a_window(*, restart: bool) -> None:
    world = World(2, TOKEN_USAGE)
    with in_one_thread(world):
        processor = start(world)

        def use(partition: int, count: int, seconds: float) -> None:
            event = tokens(count, seconds=seconds, span_s=5.0)
            world.produce(partition, msgspec.json.encode(event))
            turn(processor)

        use(0, 100, 5)
        use(1, 100, 5)
        if restart:
            processor.finish()
            world.processors.clear()
            processor = start(world)
        use(1, 300, 10)
        check(world, 1)
        assert len(world.documents) == 2
