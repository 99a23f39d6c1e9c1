"""What a partition's histories have to be told by the database: many series in one question."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from millrace.feeds.base import Feed, Series
from millrace.feeds.history import History, Past, Point
from millrace.portions import portions
from millrace.processor.pace import Pace
from millrace.processor.points import Moment, Points
from millrace.processor.ports import Below, Store

AT_ONCE = 500
"""So many series are asked for in one question."""


class Recall:
    """Asks one question after the other, and hands out each answer before the next.

    It takes a turn before each but the first, so that something is answered every time.
    """

    def __init__(self, feed: Feed[Any], store: Store, pace: Pace) -> None:
        self._feed = feed
        self._store = store
        self._pace = pace
        self.has_points = feed.history is History
        """Whether values are asked for when they are needed; else a history has all its window."""
        self._has_claims: bool | None = None

    def expect_claims(self) -> bool:
        """There are events whose time was not believed; whether that is news."""
        before, self._has_claims = self._has_claims, True
        return not before

    def places(self, partition: int, ids: Callable[[], Sequence[str]]) -> Mapping[str, int]:
        """The offsets of those of these events that are stored, if times were not believed.

        Such an event that comes again has another time in the log, and would count as another one.
        As long as clocks are right the answer is empty, and nothing is asked.
        """
        if self._has_claims is None:
            self._has_claims = self._store.has_claims(self._feed)
        if not self._has_claims:
            return {}
        found: dict[str, int] = {}
        for number, some in enumerate(portions(ids(), AT_ONCE)):
            if number:
                self._pace.turn()
            found |= self._store.places(self._feed, partition, some)
        return found

    def histories(
        self, wanted: Iterable[Series], below: Below
    ) -> Iterator[tuple[Series, Points | Past]]:
        """What is stored of each of these series. Transient, Permanent, Interrupted."""
        feed = self._feed
        if not feed.stored_fields:
            yield from ((series, feed.history(feed.window)) for series in wanted)
            return
        newest = self.newest(((series, None) for series in wanted), below)
        for number, (series, _, found) in enumerate(newest):
            if self.has_points:
                yield series, Points(feed.window, found)
                continue
            if number:
                self._pace.turn()
            past = feed.history(feed.window)
            if found is not None:
                window = self._store.window(feed, series, found[0], below, self._pace)
                for time, value in window:
                    past.add(time, value)
            yield series, past

    def newest(
        self, wanted: Iterable[tuple[Series, Moment | None]], below: Below
    ) -> Iterator[tuple[Series, Moment | None, Point | None]]:
        """The newest value of each series up to a moment, or of all. As `histories`."""
        groups: dict[tuple[str, Moment | None], list[str]] = {}
        for series, moment in wanted:
            groups.setdefault((series.source, moment), []).append(series.symbol)
        first = True
        for (source, moment), symbols in groups.items():
            for start in range(0, len(symbols), AT_ONCE):
                some = symbols[start : start + AT_ONCE]
                if not first:
                    self._pace.turn()
                first = False
                found = self._store.newest_of(self._feed, source, some, moment, below, self._pace)
                for symbol, point in found:
                    yield Series(source, symbol), moment, point
