"""What a derivation may know of the past: values of one series by event time, in a window."""

from bisect import bisect_left, bisect_right, insort
from datetime import datetime, timedelta

Point = tuple[datetime, float]


class History:
    """The values of one series, ordered by event time and trimmed to a window before the newest.

    Of two values with the same time the one that came first counts. What is older than the window
    is forgotten: the result depends on the values added and on nothing else, in particular not on
    when trimming happens.
    """

    __slots__ = ("_points", "_times", "_window")

    def __init__(self, window: timedelta) -> None:
        self._window = window
        self._times: list[datetime] = []
        self._points: list[Point] = []

    def add(self, time: datetime, value: float) -> None:
        """Remember a value; constant time for values that come in order."""
        if not self._times or time > self._times[-1]:
            self._times.append(time)
            self._points.append((time, value))
            self._trim(time - self._window)
            return
        if time < self._times[-1] - self._window:
            return
        position = bisect_left(self._times, time)
        if self._times[position] != time:
            insort(self._times, time)
            self._points.insert(position, (time, value))

    def before(self, time: datetime) -> Point | None:
        """The newest value strictly before a time that is still in the window."""
        return self._at(bisect_left(self._times, time) - 1)

    def at_or_before(self, time: datetime) -> Point | None:
        """The newest value at or before a time that is still in the window."""
        return self._at(bisect_right(self._times, time) - 1)

    def __len__(self) -> int:
        return len(self._times)

    def _at(self, position: int) -> Point | None:
        if position < 0 or self._times[position] < self._times[-1] - self._window:
            return None
        return self._points[position]

    def _trim(self, oldest: datetime) -> None:
        # Removing from the front costs the length of the list, so it is done for many at once.
        if len(self._times) > 64 and self._times[len(self._times) // 2] < oldest:
            keep = bisect_left(self._times, oldest)
            del self._times[:keep]
            del self._points[:keep]
