"""The hours of the exchange, in UTC."""

from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.invented import exchange

FRIDAY = date(2026, 11, 20)
YEARS = st.floats(datetime(2020, 1, 1, tzinfo=UTC).timestamp(), 2e9)


def seconds(text: str) -> float:
    return datetime.fromisoformat(f"{text}+00:00").timestamp()


@pytest.mark.parametrize(
    ("at", "day"),
    [
        ("2026-11-20T14:29:59", date(2026, 11, 19)),
        ("2026-11-20T14:30:00", FRIDAY),
        ("2026-11-20T23:59:59", FRIDAY),
        ("2026-11-21T15:00:00", FRIDAY),
        ("2026-11-22T15:00:00", FRIDAY),
        ("2026-11-23T14:29:59", FRIDAY),
        ("2026-11-23T14:30:00", date(2026, 11, 23)),
        # In summer it opens an hour earlier in UTC.
        ("2026-07-06T13:30:00", date(2026, 7, 6)),
        ("2026-07-06T13:29:59", date(2026, 7, 3)),
    ],
)
def test_the_last_session_that_has_begun(at: str, day: date) -> None:
    assert exchange.session(seconds(at)).day == day


def test_a_session_is_as_long_as_that_day_trades() -> None:
    whole = exchange.session(seconds("2026-11-20T18:00:00"))
    assert (whole.opens, whole.closes) == (
        seconds("2026-11-20T14:30:00"),
        seconds("2026-11-20T21:00:00"),
    )
    half = exchange.session(seconds("2026-11-27T15:00:00"))
    assert half.closes == seconds("2026-11-27T18:00:00")
    assert [half.elapsed(half.opens + 3600 * n) for n in (0, 1, 4, 9)] == [0, 1 / 3.5, 1, 1]


@given(YEARS)
def test_sessions_are_numbered_one_after_the_other(at: float) -> None:
    now = exchange.session(at)
    assert now.opens <= at
    assert now.day.weekday() < 5
    before = exchange.session(now.opens - 1)
    assert before.number == now.number - 1
    assert before.closes < now.opens
