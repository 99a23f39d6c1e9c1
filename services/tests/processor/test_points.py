"""Points: says what History says, whatever it has forgotten meanwhile."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millrace.feeds.history import History, Point
from millrace.processor import points
from millrace.processor.points import KEPT, Moment, Points

START = datetime(2026, 1, 2, tzinfo=UTC)
WINDOW = timedelta(minutes=30)

minutes = st.integers(0, 120)
scattered = st.lists(st.tuples(minutes, st.floats(1, 100)), max_size=60)
runs = st.integers(0, 100).map(lambda length: [(minute, float(minute)) for minute in range(length)])
logs = st.tuples(runs, scattered, st.integers(0, 100)).map(
    lambda drawn: [*drawn[0], *((minute + drawn[2], value) for minute, value in drawn[1])]
)


class Stored:
    """The values of a series in the order of the log."""

    def __init__(self, log: list[tuple[int, float]]) -> None:
        self.log = [(START + timedelta(minutes=minute), value) for minute, value in log]
        self.asked = 0

    def newest(self, moment: Moment | None, below: int) -> Point | None:
        """See ports.Store."""
        found = [
            (time, -offset, value)
            for offset, (time, value) in enumerate(self.log[:below])
            if moment is None or time < moment.time or (moment.inclusive and time == moment.time)
        ]
        return (max(found)[0], max(found)[2]) if found else None

    def ask(self, history: Points, time: datetime, below: int, *, inclusive: bool) -> Point | None:
        """What the history says after it was told what it lacks."""
        question = history.at_or_before if inclusive else history.before
        answer = question(time)
        while history.lacking:
            lacking, history.lacking = history.lacking, None
            for moment in lacking:
                self.asked += 1
                history.learn(moment, self.newest(moment, below), below)
            answer = question(time)
        return answer


@settings(max_examples=300)
@given(logs, st.integers(0, 100), st.integers(0, 40), minutes, st.data())
def test_it_says_what_a_history_says(
    log: list[tuple[int, float]], percent: int, in_flight: int, always: int, data: Any
) -> None:
    """It begins anywhere, and what was added last is never stored yet."""
    stored, whole = Stored(log), History(WINDOW)
    begin = len(log) * percent // 100
    for time, value in stored.log[:begin]:
        whole.add(time, value)
    history = Points(WINDOW, stored.newest(None, begin))
    below = begin
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(points, "KEPT", 4)
        for offset, (time, value) in enumerate(stored.log[begin:], start=begin):
            if offset % 7 == 0:
                below = max(below, offset - in_flight)
            for minute in (always, data.draw(minutes)):
                asked = START + timedelta(minutes=minute)
                for inclusive in (False, True):
                    expected = whole.at_or_before(asked) if inclusive else whole.before(asked)
                    assert stored.ask(history, asked, below, inclusive=inclusive) == expected
            whole.add(time, value)
            history.add(time, value, offset, below)


def test_what_comes_in_order_asks_for_nothing() -> None:
    stored = Stored([(minute, float(minute)) for minute in range(1000)])
    history = Points(WINDOW, stored.newest(None, 500))
    for offset, (time, value) in enumerate(stored.log[500:], start=500):
        before = stored.log[offset - 1]
        assert stored.ask(history, time, 500, inclusive=False) == before
        history.add(time, value, offset, 500)
    assert stored.asked == 0


def test_it_stays_small_however_long_it_runs_and_keeps_what_is_not_stored() -> None:
    history = Points(WINDOW, None)
    for minute in range(10_000):
        history.add(START + timedelta(minutes=minute), 1.0, minute, minute - 100)
        assert len(history) <= 2 * (KEPT + 100)
    for minute in range(10_000, 10_100):
        history.add(START + timedelta(minutes=minute), 1.0, minute, 10_000)
    asked = START + timedelta(minutes=10_090)
    assert history.before(asked) == (asked - timedelta(minutes=1), 1.0)
    assert not history.lacking


def test_what_is_outside_the_window_is_not_asked_for() -> None:
    history = Points(WINDOW, (START, 1.0))
    assert history.before(START - WINDOW - timedelta(minutes=1)) is None
    assert not history.lacking


def test_of_two_values_with_one_time_the_first_counts() -> None:
    history = Points(WINDOW, (START, 1.0))
    history.add(START, 2.0, 7, 7)
    assert history.at_or_before(START) == (START, 1.0)
    earlier = START - timedelta(minutes=5)
    history.add(earlier, 3.0, 8, 7)
    history.learn(Moment(earlier, inclusive=True), (earlier, 4.0), 7)
    assert history.at_or_before(earlier) == (earlier, 4.0)


def test_an_answer_does_not_outlive_what_was_added_behind_it() -> None:
    history = Points(WINDOW, None)
    for second in range(10 * KEPT):
        history.add(START + timedelta(seconds=second), 1.0, second, second)
    late, asked = START + timedelta(seconds=3.5), START + timedelta(seconds=4)
    history.add(late, 2.0, 10 * KEPT, 10 * KEPT)
    moment = Moment(asked, inclusive=False)
    history.learn(moment, (START + timedelta(seconds=3), 1.0), 10 * KEPT)
    assert history.before(asked) == (late, 2.0)
    for second in range(10 * KEPT, 20 * KEPT):
        history.add(START + timedelta(seconds=second), 1.0, second + 1, second + 1)
    assert history.before(asked) is None
    assert history.lacking == [moment]
