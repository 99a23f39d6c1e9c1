"""Times that upstreams do not provide: closes of trading, and when allowances are renewed."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

NEW_YORK = ZoneInfo("America/New_York")
_CLOSE, _EARLY_CLOSE = time(16), time(13)
_THURSDAY, _FRIDAY = 3, 4


def regular_close_of(day: date) -> datetime:
    """When the exchanges of New York close on a regular day, in UTC."""
    return datetime.combine(day, _CLOSE, NEW_YORK).astimezone(UTC)


def close_of(day: date) -> datetime:
    """When the exchanges of New York close on that day, in UTC."""
    close = _EARLY_CLOSE if _is_half_day(day) else _CLOSE
    return datetime.combine(day, close, NEW_YORK).astimezone(UTC)


def _is_half_day(day: date) -> bool:
    """Whether it is a weekday before Independence Day or Christmas, or the day after Thanksgiving.

    These are the exchanges' rules since 2013. If one of the holidays is on a Saturday, the Friday
    before it is the holiday. All libraries that know half-days depend on pandas.
    """
    if (day.month, day.day) in ((7, 3), (12, 24)):
        return day.weekday() <= _THURSDAY
    # Thanksgiving, the fourth Thursday of November, is on the 22nd at the earliest.
    return day.month == 11 and 23 <= day.day <= 29 and day.weekday() == _FRIDAY


def next_day_in_new_york(now: datetime) -> datetime:
    """When the day of a US provider ends, in UTC."""
    tomorrow = now.astimezone(NEW_YORK).date() + timedelta(days=1)
    return datetime.combine(tomorrow, time(), NEW_YORK).astimezone(UTC)


def next_month(now: datetime) -> datetime:
    """When the calendar month ends, in UTC."""
    today = now.astimezone(UTC).date()
    following = date(today.year + today.month // 12, today.month % 12 + 1, 1)
    return datetime.combine(following, time(), UTC)
