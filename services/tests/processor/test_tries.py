"""Partitions that stand still: when they are tried again, and what is said of them."""

from itertools import pairwise
from typing import Any

import pytest
from structlog.testing import capture_logs

from millrace.processor import backoff
from millrace.processor.standing import LONGEST_REASON, LONGEST_SECONDS, Standing

FIRST, SECOND = ("stock-data", 0), ("stock-data", 1)
OTHER = ("quotes", 0)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def standing(clock: Clock) -> Standing:
    return Standing(clock)


def seconds_until_due(standing: Standing, clock: Clock) -> float:
    """How long it takes, to a quarter of a second, until something is due."""
    began = clock.now
    while not standing.due():
        clock.now += 0.25
        assert clock.now < began + 10 * LONGEST_SECONDS
    return clock.now - began


def test_the_same_offset_is_tried_later_and_later_but_once_a_minute(
    standing: Standing, clock: Clock
) -> None:
    waited = []
    for _ in range(2000):
        standing.stand(FIRST, 7, "strange")
        waited.append(seconds_until_due(standing, clock))
    assert waited[:7] == [1, 2, 4, 8, 16, 32, 60]
    assert set(waited[7:]) == {60}
    standing.stand(FIRST, 8, "strange")
    assert seconds_until_due(standing, clock) == 1, "it has come further"


def test_what_waits_for_a_command_is_tried_when_it_is_commanded(
    standing: Standing, clock: Clock
) -> None:
    standing.stand(FIRST, 7, "too many are bad", again=False)
    clock.now += 1e9
    assert standing.due() == set()
    assert standing.places() == {FIRST: (7, True)}
    standing.carry_out(FIRST)
    assert standing.due() == {FIRST}
    assert standing.places() == {FIRST: (7, False)}


def test_what_is_due_is_read_once_nothing_of_its_topic_is_busy(
    standing: Standing, clock: Clock
) -> None:
    for partition in (FIRST, SECOND, OTHER):
        standing.stand(partition, 7, "strange")
    clock.now += 1
    assert standing.held() == standing.due() == {FIRST, SECOND, OTHER}
    standing.try_again({"stock-data"})
    assert standing.held() == standing.due() == standing.places().keys() == {FIRST, SECOND}
    assert OTHER in standing, "it stands still until it has come further"
    assert [one["waits_for_command"] for one in standing.shown()] == [False] * 3
    standing.try_again({"quotes"})
    assert standing.held() == set()


def test_what_is_due_can_be_put_off(standing: Standing, clock: Clock) -> None:
    standing.stand(FIRST, 7, "strange")
    standing.stand(SECOND, 7, "strange")
    standing.stand(SECOND, 7, "strange")
    clock.now += 1
    standing.postpone(5)
    assert seconds_until_due(standing, clock) == 1, "that was not due"
    standing.try_again(())
    assert seconds_until_due(standing, clock) == 4


def test_it_goes_on_when_it_has_passed_the_offset(standing: Standing) -> None:
    standing.stand(FIRST, 7, "strange")
    standing.moved(SECOND, 9)
    standing.moved(FIRST, 7)
    assert FIRST in standing
    standing.moved(FIRST, 8)
    assert FIRST not in standing
    assert standing.problem() is None
    assert standing.shown() == []


def test_all_that_stand_still_are_named(standing: Standing) -> None:
    assert standing.problem() is None
    standing.stand(FIRST, 7, "x" * 1000)
    standing.stand(OTHER, 3, "too many", again=False)
    (other, first) = (standing.problem() or "").split("; ")
    assert other == "quotes/0 stands still at offset 3: too many"
    assert first.startswith("stock-data/0 stands still at offset 7: xxx")
    assert len(first) <= LONGEST_REASON + len("stock-data/0 stands still at offset 7: ")
    plain: dict[str, Any] = {"topic": "quotes", "partition": 0, "offset": 3, "reason": "too many"}
    assert standing.shown()[0] == plain | {"waits_for_command": True}
    assert standing.shown()[1] == {
        "topic": "stock-data",
        "partition": 0,
        "offset": 7,
        "reason": first.partition(": ")[2],
        "waits_for_command": False,
    }


def test_it_is_logged_where_and_why(standing: Standing) -> None:
    with capture_logs() as logs:
        standing.stand(FIRST, 7, "strange")
        standing.moved(FIRST, 8)
    place = {"topic": "stock-data", "partition": 0}
    stands, goes_on = ({k: v for k, v in one.items() if k != "event"} for one in logs)
    assert stands == {**place, "offset": 7, "reason": "strange", "log_level": "error"}
    assert goes_on == {**place, "offset": 8, "log_level": "info"}


def test_pauses_double_up_to_the_longest_and_no_two_processes_have_the_same() -> None:
    pauses = [[backoff.seconds(attempt, 5.0) for _ in range(200)] for attempt in range(12)]
    tops = [max(some) for some in pauses]
    for attempt, some in enumerate(pauses):
        top = min(5.0, 0.1 * 2**attempt)
        assert top / 2 <= min(some) < 0.6 * top
        assert 0.9 * top < max(some) <= top
    assert [round(later / earlier) for earlier, later in pairwise(tops[:6])] == [2] * 5
    assert backoff.seconds(100_000, 1e12) <= 0.1 * 2**20
    assert backoff.seconds(100_000, 60.0) <= 60


def test_a_topic_rests_longer_with_each_failure_until_it_succeeds() -> None:
    rests = backoff.Rests(5.0)
    assert rests.at(0.0) == set()
    spans = [rests.fail("quotes", 100.0) for _ in range(12)]
    for attempt, span in enumerate(spans):
        top = min(5.0, 0.1 * 2**attempt)
        assert top / 2 <= span <= top
    rests.fail("metals", 200.0)
    assert rests.at(100.0) == {"quotes", "metals"}
    end = 100.0 + spans[-1]
    assert rests.at(end - 0.01) == {"quotes", "metals"}
    assert rests.at(end) == {"metals"}
    rests.succeed("quotes")
    rests.succeed("stocks")
    assert rests.fail("quotes", end) <= 0.1
