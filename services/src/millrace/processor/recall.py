"""What a partition's histories have to be told by the database: many series in one question."""

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
"""So many series are asked for in one question."""


class Recall:
    """Asks one question after the other, and hands out each answer before the next.

    It takes a turn before each but the first, so that something is answered every time.
    """

    def __init__(self, feed: Feed[Any], store: Store, pace: Pace, log: str = FIRST) -> None:
        self._feed = feed
        self._store = store
        self._pace = pace
        self.has_points = feed.history is History
        """Whether values are asked for when they are needed; else a history has all its window."""
        self.asks_places = log != FIRST or feed.is_one_at_any_time
        """Whether it makes a difference where events are stored."""
        self._knows_claims = False

    def expect_repetitions(self) -> bool:
        """From now on it makes a difference where events are stored; whether that is news."""
        before, self.asks_places = self.asks_places, True
        return not before

    def places(self, ids: Callable[[], Sequence[str]]) -> Mapping[str, LogPosition]:
        """Where those of these events that are stored come from, if it makes a difference.

        An event whose time was not believed has another time in the log when it comes again, and
        one that is stored from another partition, or from a former log, is unknown to this one's
        history: each would count as another event. As long as clocks are right and partitions stay
        as they are the answer is empty, and nothing is asked, but of a feed whose events are one at
        any time.
        """
        if not self._knows_claims:
            self.asks_places |= self._store.has_claims(self._feed)
            self._knows_claims = True
        if not self.asks_places:
            return {}
        found: dict[str, LogPosition] = {}
        for number, some in enumerate(chunks(ids(), AT_ONCE)):
            if number:
                self._pace.beat()  # They are few, and of no use one by one.
            found |= self._store.places(self._feed, some)
        return found

    def histories(
        self, wanted: Iterable[Series], below: Below
    ) -> Iterator[tuple[Series, Points | Past]]:
        """What is stored of each of these series. Transient, Permanent, Interrupted.

        Where one of them has events from another partition, repetitions are expected.
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
        """The newest value of each series up to a moment, or of all. As `histories`."""
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
