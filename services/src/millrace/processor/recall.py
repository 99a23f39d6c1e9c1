"""Reads a partition's histories from the database, with many series per query."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from millrace.clients.topic_ids import FIRST
from millrace.feeds.base import Feed, Series
from millrace.feeds.history import History, Past, Point
from millrace.processor.pace import Pace
from millrace.processor.points import Moment, Points
from millrace.processor.ports import Below, LogPosition, Store
from millrace.runtime.chunks import chunks

AT_ONCE = 500
"""Number of series per query."""


class Recall:
    """Runs one query after the other, and yields each result before the next.

    It checks the pace before each query except the first, so that every call makes progress.
    """

    def __init__(self, feed: Feed[Any], store: Store, pace: Pace, log: str = FIRST) -> None:
        self._feed = feed
        self._store = store
        self._pace = pace
        self.has_points = feed.history is History
        """Whether values are read when needed; otherwise a history has its whole window."""
        self.asks_places = log != FIRST or feed.is_one_at_any_time
        """Whether the places of stored events matter."""
        self._knows_claims = False

    def expect_repetitions(self) -> bool:
        """From now on the places of stored events matter; return whether that is new."""
        before, self.asks_places = self.asks_places, True
        return not before

    def places(self, ids: Callable[[], Sequence[str]]) -> Mapping[str, LogPosition]:
        """The log positions of these events, if they are stored and positions matter.

        An event whose time was not believed has another time when it arrives again, and one that is
        stored from another partition or a former log is not in this partition's history: each would
        count as another event. As long as clocks are right and partitions do not change, nothing is
        queried and the result is empty, except for feeds with `is_one_at_any_time`.
        """
        if not self._knows_claims:
            self.asks_places |= self._store.has_claims(self._feed)
            self._knows_claims = True
        if not self.asks_places:
            return {}
        found: dict[str, LogPosition] = {}
        for number, some in enumerate(chunks(ids(), AT_ONCE)):
            if number:
                self._pace.beat()  # They are few, and useless individually.
            found |= self._store.places(self._feed, some)
        return found

    def histories(
        self, wanted: Iterable[Series], below: Below
    ) -> Iterator[tuple[Series, Points | Past]]:
        """The stored history of each of these series. Raises Transient, Permanent, Interrupted.

        If one of them has events from another partition, repetitions are expected.
        """
        feed = self._feed
        if not feed.stored_fields:
            yield from ((series, feed.history(feed.window)) for series in wanted)
            return
        symbols: dict[str, list[str]] = {}
        for series in wanted:
            symbols.setdefault(series.source, []).append(series.symbol)
        parts = ((source, some) for source in symbols for some in chunks(symbols[source], AT_ONCE))
        for number, (source, some) in enumerate(parts):
            if number:
                self._pace.turn()
            if not self.asks_places and self._store.is_elsewhere(
                feed, source, some, below.partition
            ):
                self.asks_places = True
            yield from self._histories(source, some, below)

    def _histories(
        self, source: str, symbols: Sequence[str], below: Below
    ) -> Iterator[tuple[Series, Points | Past]]:
        feed = self._feed
        newest = self._store.newest_of(feed, source, symbols, None, below, self._pace)
        for number, (symbol, found) in enumerate(newest):
            series = Series(source, symbol)
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
        """The newest value of each series up to a moment, or of all. Raises as `histories`."""
        groups: dict[tuple[str, Moment | None], list[str]] = {}
        for series, moment in wanted:
            groups.setdefault((series.source, moment), []).append(series.symbol)
        first = True
        for (source, moment), symbols in groups.items():
            for some in chunks(symbols, AT_ONCE):
                if not first:
                    self._pace.turn()
                first = False
                found = self._store.newest_of(self._feed, source, some, moment, below, self._pace)
                for symbol, point in found:
                    yield Series(source, symbol), moment, point
