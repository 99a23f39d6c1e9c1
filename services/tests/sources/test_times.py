"""Closes of trading in New York."""

from datetime import date

import pytest

from millrace.sources.times import close_of, regular_close_of


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
