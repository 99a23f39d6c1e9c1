"""What a derivation may know of the past: values of one series by event time, in a window."""

from array import array
from bisect import bisect_left, bisect_right
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

Point = tuple[datetime, Any]
"""Event time, and what the feed's `value` says."""

TRIM_EVERY = 64


class Past(Protocol):
    """A history of some kind. What it says follows from what was added, in that order."""

    def add(self, time: datetime, value: Any) -> None:
        """Remember what the feed's `value` says of an event."""
        ...


class Nothing:
    """The history of feeds that derive nothing from the past."""

    def __init__(self, window: timedelta) -> None:
        """See History."""

    def add(self, time: datetime, value: Any) -> None:
        """See Past."""


class History:
    """The values of one series, ordered by event time and trimmed to a window before the newest.

    Of two values with the same time the one that came first counts. No answer is older than the
    window, before the time that is asked about and before the newest value: the result depends on
    the values added and on nothing else, in particular not on when trimming happens.
    """

    __slots__ = ("_newest", "_times", "_values", "_width", "_window")

    def __init__(self, window: timedelta) -> None:
        self._width = window
        self._window = window.total_seconds()
        self._times = array("d")
        self._values: list[Any] = []
        self._newest: Point | None = None

    def add(self, time: datetime, value: Any) -> None:
        """Remember a value; constant time for values that come in order."""
        newest = self._newest
        seconds = time.timestamp()
        times = self._times
        if newest is None or time > newest[0]:
            self._newest = (time, value)
            times.append(seconds)
            self._values.append(value)
            # Removing from the front costs the length, so it is done for many at once.
            if not len(times) % TRIM_EVERY and times[len(times) // 2] < self._oldest():
                keep = bisect_left(times, self._oldest())
                del times[:keep]
                del self._values[:keep]
        elif seconds >= self._oldest():
            position = bisect_left(times, seconds)
            if times[position] != seconds:
                times.insert(position, seconds)
                self._values.insert(position, value)

    def before(self, time: datetime) -> Point | None:
        """The newest value strictly before a time that is still in the window."""
        newest = self._newest
        if newest is None or time > newest[0]:
            return within(newest, time, self._width)
        return self._at(bisect_left(self._times, time.timestamp()) - 1)

    def at_or_before(self, time: datetime) -> Point | None:
        """The newest value at or before a time that is still in the window."""
        newest = self._newest
        if newest is None or time >= newest[0]:
            return within(newest, time, self._width)
        return self._at(bisect_right(self._times, time.timestamp()) - 1)

    def __len__(self) -> int:
        return len(self._times)

    def _oldest(self) -> float:
        return self._times[-1] - self._window

    def _at(self, position: int) -> Point | None:
        if position < 0 or self._times[position] < self._oldest():
            return None
        return datetime.fromtimestamp(self._times[position], UTC), self._values[position]


def within(point: Point | None, time: datetime, window: timedelta) -> Point | None:
    """A point that is not later than a time, if it is in the window that ends there."""
    return None if point is None or time - point[0] > window else point
