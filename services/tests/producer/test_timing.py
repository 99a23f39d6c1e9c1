"""Schedules: no run is lost and none is doubled, however often the producer starts again."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import pytest
from cronsim import CronSim
from hypothesis import given, settings
from hypothesis import strategies as st

from millrace.config import Settings
from millrace.errors import ConfigurationError
from millrace.producer.agenda import Agenda
from millrace.producer.timing import Interval, Schedule, from_settings

START = datetime(2026, 1, 2, 12, tzinfo=UTC)
HOUR = 3600.0
Missed = Literal["run", "skip"]
expressions = st.sampled_from(["* * * * *", "*/7 * * * *", "0 * * * *", "5,6 */2 * * *"])
jitters = st.sampled_from([0.0, 30.0, 90.0, 4000.0])
moments = st.floats(0, 86_400).map(lambda seconds: START.timestamp() + seconds)


def at(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment, UTC):%d %H:%M:%S}"


def test_a_schedule_is_in_utc_and_its_next_time_is_always_later() -> None:
    daily = Schedule("30 6 * * 1-5")
    friday = START.timestamp()
    assert at(daily.after(friday)) == "05 06:30:00"
    assert at(daily.after(daily.after(friday))) == "06 06:30:00"


@given(expressions, moments)
def test_without_jitter_the_next_time_is_that_of_the_expression(
    expression: str, moment: float
) -> None:
    now = datetime.fromtimestamp(moment, UTC)
    assert Schedule(expression).after(moment) == next(CronSim(expression, now)).timestamp()


@given(expressions, jitters, moments)
def test_a_jitter_is_bounded_and_the_same_after_every_start(
    expression: str, jitter: float, moment: float
) -> None:
    first = Schedule(expression, name="a", jitter=jitter).after(moment)
    assert first == Schedule(expression, name="a", jitter=jitter).after(moment)
    latest = datetime.fromtimestamp(first // 1, UTC) + timedelta(seconds=1)
    assert 0 <= first - next(CronSim(expression, latest, reverse=True)).timestamp() <= jitter


def test_a_jitter_spreads_runs_and_producers() -> None:
    def delays(name: str) -> list[float]:
        schedule = Schedule("0 * * * *", name=name, jitter=600)
        found, moment = [], START.timestamp()
        for _ in range(200):
            moment = schedule.after(moment)
            found.append(moment % HOUR)
        return found

    a, b = delays("a"), delays("b")
    assert a != b
    for found in (a, b):
        assert all(0 <= delay <= 600 for delay in found)
        assert 250 < sum(found) / len(found) < 350
        assert min(found) < 30
        assert max(found) > 570


def test_the_same_runs_are_found_from_wherever_one_looks() -> None:
    schedule = Schedule("*/5 * * * *", name="a", jitter=1000)
    runs, moment = [], START.timestamp()
    for _ in range(50):
        moment = schedule.after(moment)
        runs.append(moment)
    assert runs == sorted(set(runs))
    for earlier, later in pairwise(runs):
        assert schedule.after((earlier + later) / 2) == later


@given(
    jitters,
    st.sampled_from(["run", "skip"]),
    st.lists(st.tuples(st.floats(1, 2000), st.floats(0, 2000)), min_size=1, max_size=8),
)
@settings(max_examples=40)
def test_no_run_is_lost_or_doubled_over_restarts(
    tmp_path_factory: pytest.TempPathFactory,
    jitter: float,
    missed: Missed,
    spans: list[tuple[float, float]],
) -> None:
    """The producer is up and down in turns; the oracle counts the moments of the schedule."""
    path = tmp_path_factory.mktemp("state") / "state.json"
    schedule = Schedule("*/10 * * * *", name="a", jitter=jitter, missed=missed)
    now = START.timestamp()
    seen = now
    polls: list[float] = []
    expected: list[float] = []
    for up, down in spans:
        agenda = Agenda(["all"], schedule, path, lambda now=now: now, runs=0)  # type: ignore[misc]
        # A moment that passed while it was down makes one poll, or none.
        passed = schedule.after(seen) < now
        if passed and missed == "run":
            expected.append(now)
        end = now + up
        moment = schedule.after(now) if schedule.after(seen) != now else now
        while moment < end:
            expected.append(moment)
            moment = schedule.after(moment)
        while (due := max(agenda.next()[1], now)) < end:
            now = due
            polls.append(now)
            agenda.polled("all", now)
            agenda.save()
        seen = end
        now = end + down
    assert polls == expected


def test_a_poll_that_took_long_is_followed_by_the_next_time_only() -> None:
    schedule = Schedule("* * * * *")
    assert schedule.after(START.timestamp() + 600) == START.timestamp() + 660


@pytest.mark.parametrize(
    ("expression", "jitter", "seconds"),
    [
        ("* * * * *", 0.0, 60),
        ("* * * * *", 30.0, 90),
        ("*/15 * * * *", 0.0, 900),
        ("0,10 * * * *", 0.0, 3000),
        ("0 6 * * *", 0.0, HOUR),
        ("0 0 29 2 *", 0.0, HOUR),
    ],
)
def test_how_far_the_times_of_a_schedule_are_apart(
    expression: str, jitter: float, seconds: float
) -> None:
    assert Schedule(expression, jitter=jitter).spacing == seconds


def test_a_changed_schedule_misses_nothing_of_the_old_one(tmp_path: Path) -> None:
    now = START.timestamp()
    path = tmp_path / "state.json"
    Agenda(["all"], Schedule("30 12 * * *"), path, lambda: now, runs=0)
    now += HOUR
    agenda = Agenda(["all"], Schedule("0 18 * * *"), path, lambda: now, runs=0)
    assert at(agenda.next()[1]) == "02 18:00:00"
    assert Agenda(["all"], Interval(60), path, lambda: now, runs=0).next()[1] == now


def test_a_clock_that_is_set_back_does_not_stop_a_schedule(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    schedule = Schedule("0 * * * *")
    Agenda(["all"], schedule, path, lambda: START.timestamp() + 1_000_000, runs=0)
    agenda = Agenda(["all"], schedule, path, START.timestamp, runs=0)
    assert agenda.next()[1] == START.timestamp() + HOUR


@pytest.mark.parametrize(
    "wrong", ["61 * * * *", "* * * *", "* * * * * *", "@daily", "", "every day", "0 0 30 2 *"]
)
def test_a_wrong_expression_is_one_line(wrong: str) -> None:
    with pytest.raises(ConfigurationError, match="the schedule") as caught:
        Schedule(wrong)
    assert "\n" not in str(caught.value)


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Settings]:
    monkeypatch.setenv("MILLRACE_SECRETS_DIR", str(tmp_path / "none"))
    return lambda **values: Settings(producer_name="a", **values)


def test_an_interval_is_what_is_usual(make: Callable[..., Settings]) -> None:
    assert from_settings(make()).interval == 60
    assert from_settings(make(producer_interval_seconds=5)).text == "every 5 s"


def test_a_schedule_takes_its_place(make: Callable[..., Settings]) -> None:
    timing = from_settings(make(producer_schedule="0 6 * * *", producer_jitter_seconds=30))
    assert (timing.interval, timing.text) == (None, "at 0 6 * * *, up to 30 s later")


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"producer_schedule": "0 6 * * *", "producer_interval_seconds": 60}, "exclude each other"),
        ({"producer_missed": "skip"}, "^MILLRACE_PRODUCER_MISSED needs a schedule"),
        (
            {"producer_jitter_seconds": 5, "producer_interval_seconds": 60},
            "^MILLRACE_PRODUCER_JITTER_SECONDS needs a schedule",
        ),
        (
            {"producer_schedule": "0 6 * *"},
            "^MILLRACE_PRODUCER_SCHEDULE: the schedule '0 6 [*] [*]'",
        ),
        ({"producer_schedule": "0 25 * * *"}, "^MILLRACE_PRODUCER_SCHEDULE: .*Bad hour"),
    ],
)
def test_what_contradicts_itself_is_one_line(
    make: Callable[..., Settings], values: dict[str, Any], says: str
) -> None:
    with pytest.raises(ConfigurationError, match=says):
        from_settings(make(**values))
