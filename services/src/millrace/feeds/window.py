"""A sliding window over usage: sums of one series by event time, counting each event once."""

from bisect import bisect_left, bisect_right
from datetime import datetime, timedelta
from typing import NamedTuple

Use = tuple[str, int, int, float | None]
"""An event id, the two numbers that are summed, and the seconds that they cover, if known."""

TRIM_EVERY = 64
ZERO = timedelta(0)


class Sums(NamedTuple):
    """The sums of a window, and the seconds that they cover."""

    first: int
    second: int
    seconds: float


class Window:
    """The uses of one series, ordered by event time, as far back as a window needs them.

    An event counts once, whatever its time and however often it arrives. An event that is older
    than the newest by more than the allowed lateness never counts. As with History, answers depend
    only on the uses added and their order: only uses that no query can reach are dropped. A query
    for a time that is not late reaches two windows back.
    """

    __slots__ = ("_first", "_ids", "_known", "_lateness", "_second", "_spans", "_times", "_width")

    def __init__(self, width: timedelta, lateness: timedelta) -> None:
        self._width = width
        self._lateness = lateness
        # Running sums: the sums of a window are the difference of two. They are integers, so that
        # the order of arrival makes no difference.
        self._times: list[datetime] = []
        self._first: list[int] = []
        self._second: list[int] = []
        self._spans: list[float] = []
        self._ids: list[str] = []
        self._known: set[str] = set()

    def is_late(self, time: datetime) -> bool:
        """Whether an event of this time is too late to count."""
        return bool(self._times) and time < self._times[-1] - self._lateness

    def add(self, time: datetime, value: Use) -> None:
        """Add a use, in constant time if uses arrive in order."""
        event_id, first, second, span = value
        if self.is_late(time) or event_id in self._known:
            return
        self._known.add(event_id)
        times = self._times
        place = bisect_right(times, time)
        times.insert(place, time)
        self._ids.insert(place, event_id)
        self._spans.insert(place, span or 0.0)
        for sums, number in ((self._first, first), (self._second, second)):
            before = sums[place - 1] if place else 0
            sums[place:] = [before + number, *(later + number for later in sums[place:])]
        if not len(times) % TRIM_EVERY:
            self._trim()

    def sums(self, time: datetime, first: int, second: int, span: float | None = None) -> Sums:
        """The sums of the window that ends at a time, including a use at that time.

        The window excludes its beginning. Its seconds count from the use before it, at most two
        windows ago, because an event reports what was used since the previous one. Without such a
        use they count from the beginning of the oldest use in the window, however long ago.
        """
        times = self._times
        start, end = bisect_right(times, time - self._width), bisect_right(times, time)
        before = start - 1
        if before >= 0 and times[before] >= time - 2 * self._width:
            seconds = (time - times[before]).total_seconds()
        else:
            seconds = span or 0.0
            if start < end:
                oldest = (time - times[start]).total_seconds() + self._spans[start]
                seconds = max(seconds, oldest)
        return Sums(
            first + self._between(self._first, start, end),
            second + self._between(self._second, start, end),
            seconds,
        )

    def __len__(self) -> int:
        return len(self._times)

    @staticmethod
    def _between(sums: list[int], start: int, end: int) -> int:
        if start == end:
            return 0
        return sums[end - 1] - (sums[start - 1] if start else 0)

    def _trim(self) -> None:
        oldest = self._times[-1] - self._lateness - 2 * self._width
        gone = bisect_left(self._times, oldest)
        if not gone:
            return
        self._known.difference_update(self._ids[:gone])
        for sums in (self._first, self._second):
            base = sums[gone - 1]
            sums[:gone] = []
            sums[:] = [number - base for number in sums]
        del self._times[:gone]
        del self._ids[:gone]
        del self._spans[:gone]
