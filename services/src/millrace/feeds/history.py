"""Histories for derivations: values of one series by event time, in a window."""

from array import array
from bisect import bisect_left, bisect_right
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

Point = tuple[datetime, Any]
"""Event time, and the feed's `value` of the event."""

TRIM_EVERY = 64


class Past(Protocol):
    """A history of some kind. Its answers depend only on the added values and their order."""

    def add(self, time: datetime, value: Any) -> None:
        """Add the feed's `value` of an event."""
        ...


class Nothing:
    """The history of feeds that derive nothing from the past."""

    def __init__(self, window: timedelta) -> None:
        """See History."""

    def add(self, time: datetime, value: Any) -> None:
        """See Past."""


class History:
    """The values of one series, ordered by event time and trimmed to a window before the newest.

    Of two values with the same time the first one counts. No answer is older than the window before
    the requested time and before the newest value, so that the result depends only on the added
    values, and not on when trimming happens.
    """

    __slots__ = ("_newest", "_times", "_values", "_width", "_window")

    def __init__(self, window: timedelta) -> None:
        self._width = window
        self._window = window.total_seconds()
        self._times = array("d")
        self._values: list[Any] = []
        self._newest: Point | None = None

    def add(self, time: datetime, value: Any) -> None:
        """Add a value, in constant time if values arrive in order."""
        newest = self._newest
        seconds = time.timestamp()
        times = self._times
        if newest is None or time > newest[0]:
            self._newest = (time, value)
            times.append(seconds)
            self._values.append(value)
            # Removing from the front takes linear time, so many values are removed at once.
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
        """The newest value before a time, if it is in the window."""
        newest = self._newest
        if newest is None or time > newest[0]:
            return within(newest, time, self._width)
        return self._at(bisect_left(self._times, time.timestamp()) - 1)

    def at_or_before(self, time: datetime) -> Point | None:
        """The newest value at or before a time, if it is in the window."""
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
    """The point, which is not later than the time, if it is in the window that ends there."""
    return None if point is None or time - point[0] > window else point
