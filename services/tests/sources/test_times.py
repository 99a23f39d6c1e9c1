"""Closes of trading in New York, and what is in UTC wherever it is asked."""

from datetime import UTC, date, datetime

import pytest

from millrace.sources.times import close_of, next_day_in_new_york, next_month, regular_close_of


@pytest.mark.parametrize(
    ("day", "is_half"),
    [
        # The Friday after Thanksgiving, from the 23rd to the 29th.
        ("2018-11-23", True),
        ("2024-11-29", True),
        ("2018-11-30", False),
        ("2019-11-22", False),
        ("2019-10-25", False),
        ("2018-11-22", False),
        # Before Independence Day and Christmas; on a Friday it is the holiday itself.
        ("2024-07-03", True),
        ("2026-12-24", True),
        ("2020-07-03", False),
        ("2021-12-24", False),
    ],
)
def test_a_half_day_ends_three_hours_early(day: str, is_half: bool) -> None:
    early = regular_close_of(date.fromisoformat(day)) - close_of(date.fromisoformat(day))
    assert early.total_seconds() == (3 * 3600 if is_half else 0)


def test_a_time_is_in_utc_wherever_the_machine_is() -> None:
    """Not in the zone of the machine, which may be called so, too."""
    day, noon = date(2024, 7, 3), datetime(2024, 7, 3, 12, tzinfo=UTC)
    times = (regular_close_of(day), close_of(day), next_day_in_new_york(noon), next_month(noon))
    assert all(time.tzinfo is UTC for time in times)
