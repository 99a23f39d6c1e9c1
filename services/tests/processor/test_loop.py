"""The loop in single situations; test_delivery.py draws all others."""

from typing import Any
from unittest.mock import Mock

import pytest
from services.tests.processor.chance import away, refused
from services.tests.processor.scenario import FIRST, change, fail_with, metric, produce, start
from services.tests.processor.world import World
from structlog.testing import capture_logs

from millrace.processor import backoff, loop
from millrace.processor.errors import Permanent, Unknown
from millrace.processor.loop import LOOK_SECONDS
from millrace.processor.ports import Look


def test_a_batch_is_committed_when_it_is_written_and_not_before(world: World) -> None:
    processor = start(world)
    processor.jobs.threads = 0
    event_id = produce(world, 0, 100.0)
    for _ in range(3):
        processor.step()
    assert event_id not in world.documents
    assert world.committed[FIRST] == 0
    processor.jobs.threads = 2
    for _ in range(3):
        processor.step()
    assert event_id in world.documents
    assert world.committed[FIRST] == 1


def test_a_batch_that_is_written_early_is_not_committed_before_the_one_it_follows(
    world: World,
) -> None:
    processor = start(world, processor_max_in_flight=3)
    processor.jobs.threads = 0
    for day in range(2):
        produce(world, day, 100.0)
        processor.step()
    processor.jobs.run(1)
    processor.step()
    assert len(world.documents) == 1
    assert world.committed[FIRST] == 0
    processor.jobs.run(0)
    processor.step()
    assert world.committed[FIRST] == 2


def test_no_more_batches_than_allowed_are_in_flight_and_the_group_hears_of_us(
    world: World,
) -> None:
    processor = start(world, processor_max_in_flight=2)
    processor.jobs.threads = 0
    for day in range(40):
        produce(world, day, 100.0)
        polls = processor.consumer.polls
        processor.step()
        assert processor.consumer.polls > polls
    assert len(processor.jobs) == 2
    assert processor.consumer.paused
    processor.jobs.threads = 2
    for _ in range(40):
        processor.step()
    assert len(world.documents) == 40
    assert world.committed[FIRST] == 40


def test_a_partition_that_comes_back_is_derived_from_what_others_stored_meanwhile(
    world: World,
) -> None:
    one = start(world)
    produce(world, 0, 100.0)
    two = start(world)
    for processor, price in ((one, 110.0), (two, 121.0), (one, 133.1), (two, 146.41)):
        world.rebalance(dict.fromkeys(world.log, processor))
        produce(world, len(world.log[FIRST]), price)
        for _ in range(5):
            processor.step()
        event_id = list(world.documents)[-1]
        assert change(world, event_id) == pytest.approx(10.0)


def test_what_is_read_again_after_a_rebalance_is_derived_when_all_before_it_is_stored(
    world: World,
) -> None:
    processor = start(world)
    processor.jobs.threads = 0
    produce(world, 0, 100.0)
    processor.step()
    world.rebalance(dict.fromkeys(world.log, processor))  # before the batch is written
    later = produce(world, 1, 110.0)
    for _ in range(3):
        processor.step()
    processor.jobs.threads = 2
    for _ in range(5):
        processor.step()
    assert change(world, later) == pytest.approx(10.0)


def test_what_is_in_flight_of_a_kept_partition_is_committed_though_nothing_more_comes(
    world: World,
) -> None:
    one, two = start(world), start(world)
    world.rebalance(dict.fromkeys(world.log, one))
    one.step()
    one.jobs.threads = 0
    produce(world, 0, 100.0)
    one.step()
    first, second = world.log
    world.rebalance({first: one, second: two})
    one.jobs.threads = 2
    for _ in range(5):
        one.step()
    assert len(world.documents) == 1
    assert world.committed[FIRST] == 1


def test_what_is_in_flight_of_a_partition_that_went_is_not_committed(world: World) -> None:
    one, two = start(world), start(world)
    world.rebalance(dict.fromkeys(world.log, one))
    one.step()
    one.jobs.threads = 0
    produce(world, 0, 100.0)
    one.step()
    world.rebalance(dict.fromkeys(world.log, two))
    for _ in range(3):
        produce(world, len(world.log[FIRST]), 110.0)
        two.step()
    two.step()
    assert world.committed[FIRST] == 4
    world.rebalance(dict.fromkeys(world.log, one))
    one.jobs.threads = 2
    for _ in range(5):
        one.step()
    assert world.committed[FIRST] == 4
    assert metric(one, "duplicates_total") == 0, "it reads again what another has committed"


def test_a_kept_partition_s_past_is_not_read_again(world: World) -> None:
    one, two = start(world), start(world)
    first, second = world.log
    world.rebalance(dict.fromkeys(world.log, one))
    produce(world, 0, 100.0)
    for _ in range(3):
        one.step()
    world.newest_of = fail_with(away())  # type: ignore[method-assign]
    world.rebalance({first: one, second: two})
    later = produce(world, 1, 110.0)
    for _ in range(3):
        one.step()
    assert change(world, later) == pytest.approx(10.0)


def test_offsets_without_a_record_are_committed_too(world: World) -> None:
    processor = start(world)
    produce(world, 0, 100.0)
    world.end_transaction(0, aborted=2)
    for _ in range(40):  # until it looks how far the log goes
        processor.step()
    assert world.committed[FIRST] == len(world.log[FIRST]) == 4


def test_it_commits_ten_times_a_second_at_most(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    processor = start(world)
    monkeypatch.setattr(loop, "POLL_SECONDS", 0.01)
    began = world.now
    for day in range(60):
        produce(world, day, 100.0)
        processor.step()
    assert world.commits > 3
    assert world.commits <= 10 * (world.now - began) + 1
    assert metric(processor, "commits_total") == world.commits


def test_it_looks_how_far_it_is_every_few_seconds_and_commits_nothing_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    processor = start(world)
    produce(world, 0, 100.0)
    produce(world, 0, 100.0, partition=1, symbol="GOOG")
    for _ in range(10):
        processor.step()
    assert world.committed == dict.fromkeys(world.log, 1)
    commits, began, looks = world.commits, world.now, Mock(wraps=processor.consumer.look)
    monkeypatch.setattr(processor.consumer, "look", looks)
    while world.now < began + 4 * LOOK_SECONDS:
        processor.step()
    assert 3 <= looks.call_count <= 4
    assert world.commits == commits


def test_what_is_in_flight_is_not_forgotten_however_many_series_there_are(world: World) -> None:
    """The database does not have it yet."""
    processor = start(world, processor_max_in_flight=9)
    processor.jobs.threads = 0
    for symbol in ("IBM", "GOOG", "MSFT", "AAPL"):
        produce(world, 0, 100.0, symbol=symbol)
        processor.step()
    last = produce(world, 1, 110.0, symbol="IBM")
    processor.step()
    assert len(processor.jobs) == 5
    processor.jobs.threads = 2
    for _ in range(10):
        processor.step()
    assert change(world, last) == pytest.approx(10.0)


def test_what_repeats_an_event_in_flight_is_not_stored_instead_of_it(world: World) -> None:
    processor = start(world, processor_max_in_flight=9)
    processor.jobs.threads = 0
    for _ in range(2):
        event_id = produce(world, 0, 100.0)
        processor.step()
    for job in (1, 0):
        processor.jobs.run(job)
    assert world.documents[event_id]["kafka"]["offset"] == 0


def test_how_a_log_is_named_is_asked_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Mock(wraps=world.log_name)
    monkeypatch.setattr(world, "log_name", asked)
    processor = start(world)
    for day in range(5):
        produce(world, day, 100.0)
        processor.step()
    assert len(world.documents) > 3
    asked.assert_called_once_with("stock-data", "first")


def test_nothing_is_passed_before_what_is_in_flight_is_stored(world: World) -> None:
    processor = start(world)
    processor.jobs.threads = 0
    produce(world, 0, 100.0)
    world.end_transaction(0)
    for _ in range(100):
        processor.step()
    assert world.committed[FIRST] == 0


def test_nothing_is_committed_while_the_members_join(world: World) -> None:
    processor = start(world)
    processor.consumer.joined = False
    produce(world, 0, 100.0)
    for _ in range(40):
        processor.step()
    assert world.committed[FIRST] == 0
    assert "group" in str(processor.progress.problem(45.0))
    processor.consumer.joined = True
    for _ in range(40):
        processor.step()
    assert world.committed[FIRST] == 1
    assert processor.progress.problem(45.0) is None


def test_a_failure_while_waiting_stalls_nothing(world: World) -> None:
    processor = start(world, processor_max_in_flight=1)
    processor.jobs.threads = 0
    produce(world, 0, 100.0)
    processor.step()
    processor.consumer.failures = [away(), away()]
    processor.step()
    processor.step()
    processor.jobs.threads = 2
    produce(world, 1, 110.0)
    for _ in range(5):
        processor.step()
    assert world.committed[FIRST] == 2


def test_after_a_permanent_error_nothing_behind_it_is_committed(world: World) -> None:
    processor = start(world, processor_max_in_flight=3)
    processor.jobs.threads = 0
    for day in range(3):
        produce(world, day, 100.0)
        processor.step()
    processor.jobs.run(0)
    world.insert = fail_with(refused())  # type: ignore[method-assign]
    processor.jobs.run(0)
    del world.insert
    processor.jobs.run(0)
    with pytest.raises(Permanent, match="refused"):
        processor.loop.run()
    assert world.committed[FIRST] == 1


def test_it_pauses_longer_and_longer_while_nothing_works_and_says_what_nobody_knows(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    processor = start(world, processor_retry_seconds=4.0)
    attempts: list[tuple[int, float]] = []
    waited: list[float] = []
    troubles: list[str | None] = []

    def pause(attempt: int, longest: float) -> float:
        attempts.append((attempt, longest))
        return 7.0 + attempt

    def wait(seconds: float) -> bool:
        waited.append(seconds)
        troubles.append(processor.progress.trouble)
        return False

    monkeypatch.setattr(backoff, "seconds", pause)
    monkeypatch.setattr(processor.stop, "wait", wait)
    poll = processor.consumer.poll

    def polled(seconds: float) -> Any:
        if len(attempts) == 4 and not processor.consumer.failures:
            processor.stop.set()
        return poll(seconds)

    monkeypatch.setattr(processor.consumer, "poll", polled)
    processor.consumer.failures = [away(), away(), Unknown("code 4711"), away()]
    processor.loop.run()
    assert attempts == [(number, 4.0) for number in range(4)]
    assert waited == [7.0, 8.0, 9.0, 10.0]
    assert troubles == [None, None, "code 4711", "code 4711"]
    assert processor.progress.trouble is None, "it works again"
    processor.stop.clear()
    processor.consumer.failures = [away()]
    monkeypatch.setattr(processor.stop, "wait", lambda _: processor.stop.set())
    processor.loop.run()
    assert attempts[4:] == [(0, 4.0)]


def test_until_it_has_looked_it_is_in_no_group(world: World) -> None:
    processor = start(world)
    processor.progress.look({FIRST: (1, 9)})
    processor.finish()
    assert processor.progress.problem(60) == "it is not in its consumer group"
    assert processor.progress.stuck() == 0


def test_what_is_read_and_not_stored_counts_as_lag(world: World) -> None:
    processor = start(world)
    processor.jobs.threads = 0
    produce(world, 0, 100.0)
    for _ in range(100):
        processor.step()
    assert processor.progress.stuck() > 10
    processor.jobs.threads = 2
    for _ in range(100):
        processor.step()
    assert processor.progress.stuck() == 0


def test_it_says_what_nobody_in_its_group_reads(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    processor = start(world)
    monkeypatch.setattr(processor.consumer, "look", lambda: Look({}, [("stock-data", 7)]))
    world.now += LOOK_SECONDS
    processor.step()
    assert processor.progress.problem(60) == "nobody reads stock-data/7"


def test_stopping_completes_and_commits_what_is_in_flight(world: World) -> None:
    processor = start(world, processor_max_in_flight=3)
    processor.jobs.threads = 0
    for day in range(3):
        produce(world, day, 100.0)
        processor.step()
    processor.jobs.threads = 2
    processor.finish()
    assert len(world.documents) == 3
    assert world.committed[FIRST] == 3


@pytest.mark.parametrize("error", [away(), refused(), Unknown("strange")])
def test_it_stops_though_nothing_can_be_committed_any_more(
    world: World, monkeypatch: pytest.MonkeyPatch, error: Any
) -> None:
    processor = start(world)
    produce(world, 0, 100.0)
    monkeypatch.setattr(processor.consumer, "commit", fail_with(error))
    processor.jobs.threads = 0
    processor.step()
    processor.jobs.threads = 2
    processor.finish()
    assert len(world.documents) == 1
    assert world.committed[FIRST] == 0


def test_stopping_takes_no_longer_than_its_budget(world: World) -> None:
    processor = start(world, processor_stop_seconds=7)
    processor.jobs.threads = 0
    produce(world, 0, 100.0)
    processor.step()
    began = world.now
    with capture_logs() as logs:
        processor.finish()
    assert [line["records_read_again"] for line in logs] == [1]
    assert world.now - began == pytest.approx(7, abs=0.5)
    assert world.committed[FIRST] == 0
