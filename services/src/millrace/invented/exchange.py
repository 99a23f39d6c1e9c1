"""The hours of the exchange: 9:30 to 16:00 in New York from Monday to Friday, half-days to 13:00.

There are no holidays.
"""

from datetime import date, datetime, time
from functools import lru_cache
from typing import NamedTuple

from millrace.sources.times import NEW_YORK, close_of

DAY_SECONDS = 86_400
_OPENS = time(9, 30)
_EPOCH = date(1970, 1, 1).toordinal()
_MONDAY = date(1969, 12, 29).toordinal() - _EPOCH
"""The day on which the week of the first day of 1970 began."""
_WORKDAYS = 5


class Session(NamedTuple):
    """One day of trading; times are in seconds since 1970."""

    day: date
    number: int
    """Days of trading before it, since the end of 1969."""
    opens: float
    closes: float

    def elapsed(self, at: float) -> float:
        """The part of the session, 0 to 1, that is over at a time after its opening."""
        return min((at - self.opens) / (self.closes - self.opens), 1.0)


def session(at: float) -> Session:
    """The session that is open at a time, or else the last one before it."""
    # A session does not cross midnight in UTC.
    day = int(at // DAY_SECONDS)
    found = _until(day)
    return found if found.opens <= at else _until(day - 1)


@lru_cache(64)
def _until(day: int) -> Session:
    """The last session on or before a day in UTC, counted since 1970."""
    weeks, weekday = divmod(day - _MONDAY, 7)
    weekday = min(weekday, _WORKDAYS - 1)
    found = date.fromordinal(_EPOCH + _MONDAY + 7 * weeks + weekday)
    opens = datetime.combine(found, _OPENS, NEW_YORK)
    number = _WORKDAYS * weeks + weekday
    return Session(found, number, opens.timestamp(), close_of(found).timestamp())
