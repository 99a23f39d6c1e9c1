"""Times that the upstreams leave unsaid: closes of trading, and when allowances are renewed."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

NEW_YORK = ZoneInfo("America/New_York")
_CLOSE = time(16)


def close_of(day: date) -> datetime:
    """When the exchanges of New York close on that day, in UTC."""
    return datetime.combine(day, _CLOSE, NEW_YORK).astimezone(UTC)


def next_day_in_new_york(now: datetime) -> datetime:
    """When the day of a US provider ends, in UTC."""
    tomorrow = now.astimezone(NEW_YORK).date() + timedelta(days=1)
    return datetime.combine(tomorrow, time(), NEW_YORK).astimezone(UTC)


def next_month(now: datetime) -> datetime:
    """When the calendar month ends, in UTC."""
    first = now.astimezone(UTC).date().replace(day=1)
    following = date(first.year + first.month // 12, first.month % 12 + 1, 1)
    return datetime.combine(following, time(), UTC)
