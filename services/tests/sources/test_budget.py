"""Request budgets: never exceeded, also across restarts and with a clock that was set back."""

import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from millrace.sources.base import Quota
from millrace.sources.budget import LONGEST_REST, MOST, Budget
from millrace.sources.times import next_day_in_new_york, next_month

START = datetime(2026, 1, 2, 12, tzinfo=UTC).timestamp()


class Clock:
    """A clock that is set, or moved by sleeping."""

    def __init__(self) -> None:
        self.now = START
        self.slept = 0.0
        self.pauses: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.slept += seconds
        self.pauses.append(seconds)


def budget(
    path: Path,
    clock: Clock,
    allowance: int | None = 3,
    spacing: float = 0.0,
    key: str = "k3y",
) -> Budget:
    return Budget(
        path / "budget.json", key, allowance, next_day_in_new_york, spacing, clock, clock.sleep
    )


def test_an_allowance_ends_and_is_renewed_with_the_day(tmp_path: Path) -> None:
    clock = Clock()
    daily = budget(tmp_path, clock)
    for left in (2, 1, 0):
        daily.take()
        assert daily.left == left
    with pytest.raises(Quota) as caught:
        daily.take()
    assert caught.value.retry_at == datetime(2026, 1, 3, 5, tzinfo=UTC)
    clock.now = caught.value.retry_at.timestamp()
    assert daily.left == 3
    daily.take()


def test_a_restart_renews_nothing(tmp_path: Path) -> None:
    clock = Clock()
    for _ in range(3):
        budget(tmp_path, clock).take()
    with pytest.raises(Quota):
        budget(tmp_path, clock).take()


def test_a_request_counts_before_it_is_sent(tmp_path: Path) -> None:
    clock = Clock()
    budget(tmp_path, clock).take()
    assert budget(tmp_path, clock).left == 2


def test_requests_keep_their_distance_across_restarts(tmp_path: Path) -> None:
    clock = Clock()
    budget(tmp_path, clock, spacing=1.0).take()
    clock.now += 0.25
    budget(tmp_path, clock, spacing=1.0).take()
    assert clock.slept == 0.75


def test_a_clock_set_back_blocks_nothing_for_long(tmp_path: Path) -> None:
    clock = Clock()
    daily = budget(tmp_path, clock, spacing=1.0)
    daily.take()
    clock.now -= 10 * 86_400
    daily.take()
    assert clock.slept <= 1.0
    daily.take()
    with pytest.raises(Quota) as caught:
        daily.take()
    assert caught.value.retry_at.timestamp() - clock.now < 86_400


@pytest.mark.parametrize("content", ["", "{", '{"until": "x"}', "[1]", "\xff"])
def test_a_damaged_file_means_that_nothing_is_left_and_is_told_once(
    tmp_path: Path, content: str
) -> None:
    file, clock = tmp_path / "budget.json", Clock()
    file.write_text(content, encoding="latin-1")
    with capture_logs() as said:
        for _ in range(2):
            with pytest.raises(Quota):
                budget(tmp_path, clock).take()
    (line,) = said
    assert (line["log_level"], line["file"]) == ("warning", str(file))
    assert "nothing is asked before 2026-01-03T05:00:00Z" in line["forgotten"]
    assert "remove the file and restart the producer" in line["forgotten"]
    # A producer that starts when the period is over takes the next one's.
    clock.now += 86_400
    budget(tmp_path, clock).take()


def test_what_a_damaged_file_takes_away_comes_back_with_its_removal(tmp_path: Path) -> None:
    (tmp_path / "budget.json").write_text("{")
    assert budget(tmp_path, Clock()).left == 0
    (tmp_path / "budget.json").unlink()
    assert budget(tmp_path, Clock()).left == 3


def test_without_an_allowance_nothing_ends(tmp_path: Path) -> None:
    endless = budget(tmp_path, Clock(), allowance=None)
    for _ in range(100):
        endless.take()
    assert endless.left is None


def test_what_the_upstream_says_is_believed_also_after_a_restart(tmp_path: Path) -> None:
    clock = Clock()
    until = datetime.fromtimestamp(START, UTC) + timedelta(hours=2)
    first = budget(tmp_path, clock)
    first.take()
    first.rest(until)
    for waiting in (first, budget(tmp_path, clock)):
        with pytest.raises(Quota, match="said to wait") as caught:
            waiting.take()
        assert caught.value.retry_at == until
        assert (waiting.left, waiting.requests) == (2, 1)
    clock.now = until.timestamp()
    budget(tmp_path, clock).take()


def test_who_is_refused_again_and_again_waits_ever_longer(tmp_path: Path) -> None:
    """Whatever the upstream says, across restarts, until it serves; but no day longer."""
    clock = Clock()
    now = datetime.fromtimestamp(START, UTC)
    soon = now + timedelta(seconds=1)

    def waits() -> list[float]:
        return [(budget(tmp_path, clock).rest(soon) - now).total_seconds() for _ in range(5)]

    assert waits() == [1, 60, 600, 3600, 3600]
    budget(tmp_path, clock).served()
    assert waits() == [1, 60, 600, 3600, 3600]
    midnight = datetime(2026, 1, 3, 5, tzinfo=UTC)
    clock.now = midnight.timestamp() - 60
    assert budget(tmp_path, clock).rest(soon) == midnight


def test_a_clock_set_back_makes_no_rest_longer_than_a_day(tmp_path: Path) -> None:
    clock = Clock()
    waiting = budget(tmp_path, clock)
    waiting.rest(datetime.fromtimestamp(START, UTC) + timedelta(hours=20))
    clock.now -= 10 * 86_400
    with pytest.raises(Quota) as caught:
        waiting.take()
    clock.now = caught.value.retry_at.timestamp()
    assert clock.now - START < -8 * 86_400
    waiting.take()


def test_another_key_has_an_allowance_of_its_own(tmp_path: Path) -> None:
    clock = Clock()
    old = budget(tmp_path, clock)
    for _ in range(3):
        old.take()
    old.rest(datetime.fromtimestamp(START, UTC) + timedelta(hours=2))
    new = budget(tmp_path, clock, key="an0ther")
    assert new.left == 3
    new.take()
    assert b"an0ther" not in (tmp_path / "budget.json").read_bytes()


def test_a_key_that_is_taken_again_finds_what_it_had_used(tmp_path: Path) -> None:
    clock = Clock()
    until = datetime.fromtimestamp(START, UTC) + timedelta(hours=2)
    first = budget(tmp_path, clock)
    for _ in range(3):
        first.take()
    second = budget(tmp_path, clock, key="an0ther")
    second.take()
    second.rest(until)
    again = budget(tmp_path, clock)
    assert (again.left, again.requests) == (0, 3)
    with pytest.raises(Quota, match="used up"):
        again.take()
    again.served()
    other = budget(tmp_path, clock, key="an0ther")
    assert other.left == 2
    with pytest.raises(Quota) as caught:
        other.take()
    assert caught.value.retry_at == until


def test_of_keys_without_end_the_latest_are_known(tmp_path: Path) -> None:
    clock = Clock()
    for number in range(MOST + 2):
        budget(tmp_path, clock, key=str(number)).take()
    assert len(kept(tmp_path)["others"]) == MOST
    assert budget(tmp_path, clock, key="1").left == 2
    assert budget(tmp_path, clock, key="0").left == 3


def test_a_clock_that_is_a_day_ahead_for_a_while_renews_nothing(tmp_path: Path) -> None:
    clock = Clock()
    daily = budget(tmp_path, clock)
    daily.take()
    clock.now += 86_400
    assert daily.left == 3
    daily.take()
    clock.now -= 86_400
    for asked in (daily, budget(tmp_path, clock)):
        assert (asked.left, asked.requests) == (1, 2)
    daily.take()
    with pytest.raises(Quota):
        daily.take()
    clock.now += 86_400
    assert daily.left == 2


def test_a_clock_that_is_days_behind_for_a_while_renews_nothing(tmp_path: Path) -> None:
    clock = Clock()
    daily = budget(tmp_path, clock)
    daily.take()
    daily.take()
    clock.now -= 3 * 86_400
    daily.take()
    assert daily.left == 0
    clock.now += 3 * 86_400
    assert daily.left == 1
    for _ in range(2 * MOST):
        daily.take()
        clock.now += 86_400
    assert len(kept(tmp_path)["periods"]) == MOST


def test_requests_that_nobody_has_a_name_for_are_those_of_whoever_asks(tmp_path: Path) -> None:
    """As a version before this one has counted them."""
    clock = Clock()
    (tmp_path / "budget.json").write_text(
        f'{{"until":{START + 60},"requests":2,"last":{START - 60}}}'
    )
    assert budget(tmp_path, clock).left == 1


def kept(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode((path / "budget.json").read_bytes())
    return found


def test_what_is_kept_is_what_was_asked_when_by_whom(tmp_path: Path) -> None:
    clock = Clock()
    daily = budget(tmp_path, clock)
    daily.take()
    clock.now += 5
    daily.take()
    midnight = datetime(2026, 1, 3, 5, tzinfo=UTC).timestamp()
    expected = {
        "until": midnight,
        "requests": 2,
        "last": START + 5,
        "rest_until": 0.0,
        "refusals": 0,
        "key": hashlib.sha256(b"k3y").hexdigest()[:16],
        "periods": [],
        "others": [],
    }
    assert kept(tmp_path) == expected
    daily.rest(datetime.fromtimestamp(START + 65, UTC))
    assert kept(tmp_path) == expected | {"rest_until": START + 65, "refusals": 1}
    daily.served()
    assert kept(tmp_path) == expected | {"rest_until": START + 65}


def test_who_was_not_refused_has_nothing_to_write(tmp_path: Path) -> None:
    budget(tmp_path, Clock()).served()
    assert not [*tmp_path.iterdir()]


def test_why_nothing_is_asked_is_said(tmp_path: Path) -> None:
    clock = Clock()
    daily = budget(tmp_path, clock, allowance=1)
    daily.take()
    with pytest.raises(Quota, match=r"^the request budget is used up$"):
        daily.take()
    daily.rest(datetime.fromtimestamp(START, UTC))
    assert daily.rest(datetime.fromtimestamp(START, UTC)).timestamp() == START + 60
    with pytest.raises(Quota, match=r"^the upstream has said to wait$"):
        daily.take()


def test_of_a_smaller_allowance_than_was_used_nothing_is_left(tmp_path: Path) -> None:
    clock = Clock()
    for _ in range(3):
        budget(tmp_path, clock).take()
    smaller = budget(tmp_path, clock, allowance=2)
    assert (smaller.left, smaller.requests) == (0, 3)
    clock.now = datetime(2026, 1, 3, 5, tzinfo=UTC).timestamp()
    assert (smaller.left, smaller.requests) == (2, 0)
    smaller.take()
    assert (smaller.left, smaller.requests) == (1, 1)


def test_a_pause_is_as_long_as_the_distance_at_most_and_none_where_it_is_kept(
    tmp_path: Path,
) -> None:
    clock = Clock()
    daily = budget(tmp_path, clock, allowance=None, spacing=2.0)
    daily.take()
    assert not clock.pauses
    clock.now += 2
    daily.take()
    assert not clock.pauses
    clock.now -= 3600
    daily.take()
    assert clock.pauses == [2]
    assert kept(tmp_path)["last"] == clock.now
    clock.now += 0.5
    daily.take()
    assert clock.pauses == [2, 1.5]


def test_who_names_no_distance_is_not_held_up_and_periods_are_of_utc(tmp_path: Path) -> None:
    clock = Clock()
    asked: list[datetime] = []

    def period_end(now: datetime) -> datetime:
        asked.append(now)
        return next_month(now)

    file = tmp_path / "budget.json"
    monthly = Budget(file, "k3y", 5, period_end, clock=clock, sleep=clock.sleep)
    monthly.take()
    monthly.take()
    assert not clock.pauses
    assert {*asked} == {datetime.fromtimestamp(START, UTC)}
    assert {now.tzinfo for now in asked} == {UTC}


def test_no_rest_is_longer_than_the_longest_day_of_a_provider(tmp_path: Path) -> None:
    clock = Clock()
    waiting = budget(tmp_path, clock)
    waiting.rest(datetime.fromtimestamp(START, UTC) + timedelta(days=9))
    with pytest.raises(Quota) as caught:
        waiting.take()
    assert caught.value.retry_at.timestamp() == START + LONGEST_REST == START + 25 * 3600


def test_what_a_damaged_file_is_taken_for_is_written(tmp_path: Path) -> None:
    (tmp_path / "budget.json").write_text("{")
    with capture_logs() as said:
        assert budget(tmp_path, Clock()).requests == 3
    assert said[0]["forgotten"] == (
        "how many requests were made; all count as made, so nothing is asked before"
        " 2026-01-03T05:00:00Z: if the key has some left, remove the file and restart the producer"
    )
    assert kept(tmp_path) == {
        "until": datetime(2026, 1, 3, 5, tzinfo=UTC).timestamp(),
        "requests": 3,
        "last": 0.0,
        "rest_until": 0.0,
        "refusals": 0,
        "key": hashlib.sha256(b"k3y").hexdigest()[:16],
        "periods": [],
        "others": [],
    }


def test_a_damaged_file_takes_nothing_from_who_has_no_allowance(tmp_path: Path) -> None:
    (tmp_path / "budget.json").write_text("{")
    with capture_logs() as said:
        endless = budget(tmp_path, Clock(), allowance=None)
    assert said[0]["forgotten"] == "when the last request was made"
    assert endless.requests == 0
    endless.take()
    assert endless.requests == 1


@given(st.lists(st.tuples(st.floats(0, 90_000), st.booleans()), max_size=30))
@settings(max_examples=50, deadline=None)
def test_no_day_ever_has_more_requests_than_allowed(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[float, bool]]
) -> None:
    path, clock = tmp_path_factory.mktemp("budget"), Clock()
    daily = budget(path, clock)
    sent: dict[datetime, int] = {}
    for wait, restart in steps:
        clock.now += wait
        if restart:
            daily = budget(path, clock)
        try:
            daily.take()
        except Quota:
            continue
        day = next_day_in_new_york(datetime.fromtimestamp(clock.now, UTC))
        sent[day] = sent.get(day, 0) + 1
    assert all(count <= 3 for count in sent.values())


def test_months_end_where_months_end() -> None:
    assert next_month(datetime(2026, 12, 31, 23, tzinfo=UTC)) == datetime(2027, 1, 1, tzinfo=UTC)
    assert next_month(datetime(2026, 2, 1, tzinfo=UTC)) == datetime(2026, 3, 1, tzinfo=UTC)
