"""The history of a series: the newest values are kept, and older ones are read if needed."""

from array import array
from bisect import bisect_left, bisect_right
from datetime import UTC, datetime, timedelta
from math import inf
from typing import Any, NamedTuple

from millrace.feeds.history import Point, within

KEPT = 16
"""Number of values that are kept per series, in addition to those that are not stored yet."""


class Moment(NamedTuple):
    """A query for the newest value up to a time."""

    time: datetime
    inclusive: bool


class Points:
    """Gives the same answers as `History` with the same values.

    Of the stored values only the newest is known at first, and of added values only the newest are
    kept. A query further back is recorded in `lacking`, and its answer is invalid until `learn` has
    provided the database's value for that moment.
    """

    __slots__ = (
        "_answered_below",
        "_answers",
        "_floor",
        "_full",
        "_newest",
        "_offsets",
        "_times",
        "_values",
        "_width",
        "_window",
        "lacking",
    )

    def __init__(self, window: timedelta, newest: Point | None) -> None:
        """`newest` is the newest stored value, None if there is none."""
        self._width = window
        self._window = window.total_seconds()
        self._times, self._offsets = array("d"), array("q")
        self._values: list[Any] = []
        self._newest: Point | None = None
        # No values of this time or later are missing here.
        self._floor = -inf
        self._full = 2 * KEPT
        self._answers: dict[Moment | None, Point | None] | None = None
        self._answered_below = 0
        self.lacking: list[Moment] | None = None
        if newest is not None:
            self.add(*newest, -1, 0)
            self._floor = self._times[0]

    def add(self, time: datetime, value: Any, offset: int, stored: int) -> None:
        """Add the value of a record; values below the offset `stored` are in the database."""
        newest = self._newest
        seconds = time.timestamp()
        times = self._times
        if newest is None or time > newest[0]:
            self._newest = (time, value)
            times.append(seconds)
            self._values.append(value)
            self._offsets.append(offset)
        elif seconds >= self._oldest():
            place = bisect_left(times, seconds)
            if times[place] != seconds:
                times.insert(place, seconds)
                self._values.insert(place, value)
                self._offsets.insert(place, offset)
        if len(times) >= self._full:
            self._trim(stored)

    def before(self, time: datetime) -> Point | None:
        """See History."""
        return self._find(time, inclusive=False)

    def at_or_before(self, time: datetime) -> Point | None:
        """See History."""
        return self._find(time, inclusive=True)

    def learn(self, moment: Moment | None, found: Point | None, stored: int) -> None:
        """Store the newest value up to a moment, of those below the offset `stored`."""
        if self._answers is None or self._answered_below != stored:
            self._answers, self._answered_below = {}, stored
        self._answers[moment] = found

    def settle(self) -> None:
        """Drop the learned and the lacking values."""
        self._answers = self.lacking = None

    def __len__(self) -> int:
        return len(self._times)

    def _find(self, time: datetime, *, inclusive: bool) -> Point | None:
        newest = self._newest
        if newest is None or time > newest[0] or (inclusive and time == newest[0]):
            return within(newest, time, self._width)
        seconds, oldest = time.timestamp(), self._oldest()
        if seconds < oldest:
            return None
        place = (bisect_right if inclusive else bisect_left)(self._times, seconds) - 1
        own = self._times[place] if place >= 0 else -inf
        if seconds < self._floor or (seconds == self._floor and not inclusive):
            stored = self._stored(Moment(time, inclusive))
            # Of two values with the same time the stored one came first.
            if stored is not None and stored[0].timestamp() >= own:
                return stored if stored[0].timestamp() >= oldest else None
        if own < oldest:
            return None
        return datetime.fromtimestamp(own, UTC), self._values[place]

    def _stored(self, moment: Moment) -> Point | None:
        if self._answers is not None and moment in self._answers:
            return self._answers[moment]
        self.lacking = [*(self.lacking or ()), moment]
        return None

    def _oldest(self) -> float:
        return self._times[-1] - self._window

    def _trim(self, stored: int) -> None:
        """Drop the oldest stored values. Values that are being written cannot be read again."""
        most = len(self._times) - KEPT
        gone = next((n for n in range(most) if self._offsets[n] >= stored), most)
        if gone:
            for parts in (self._times, self._values, self._offsets):
                del parts[:gone]
            self._floor = max(self._floor, self._times[0])
            if stored != self._answered_below:
                self._answers = None  # they lack some of the dropped values
        self._full = 2 * max(KEPT, len(self._times))
