"""What a database of documents says of the past of a series: see ports.Store."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from millrace.feeds import Feed
from millrace.feeds.base import CLAIMED_FIELD, TIME_FIELD, Series
from millrace.feeds.history import Point
from millrace.processor.pace import Pace
from millrace.processor.points import Moment
from millrace.processor.ports import Below, LogPosition


def log_of(position: Mapping[str, Any]) -> str:
    """The log that a document's position is in."""
    return str(position.get("log", ""))


class Past:
    """The part of the store that the consumer thread asks."""

    documents: Mapping[str, dict[str, Any]]
    first_logs: dict[str, str]

    def newest_of(
        self,
        feed: Feed[Any],
        source: str,
        symbols: Sequence[str],
        moment: Moment | None,
        below: Below,
        pace: Pace,
    ) -> Iterable[tuple[str, Point | None]]:
        """See ports.Store."""
        assert isinstance(pace, Pace)
        for symbol in symbols:
            past = [
                (time, -offset, value)
                for offset, time, value in self._past(feed, Series(source, symbol), below)
                if moment is None
                or time < moment.time
                or (moment.inclusive and time == moment.time)
            ]
            newest = max(past, default=None)
            yield symbol, (newest[0], newest[2]) if newest else None

    def window(
        self,
        feed: Feed[Any],
        series: Series,
        newest: datetime,
        below: Below,
        pace: Pace,
    ) -> Iterable[tuple[datetime, Any]]:
        """See ports.Store."""
        assert isinstance(pace, Pace)
        past = self._past(feed, series, below)
        return [(t, value) for _, t, value in past if newest - feed.window <= t <= newest]

    def has_claims(self, feed: Feed[Any]) -> bool:
        """See ports.Store."""
        assert isinstance(feed, Feed)
        return any(CLAIMED_FIELD in document for document in self.documents.values())

    def is_elsewhere(
        self, feed: Feed[Any], source: str, symbols: Sequence[str], partition: int
    ) -> bool:
        """See ports.Store."""
        assert isinstance(feed, Feed)
        return any(
            d["source"] == source
            and d["symbol"] in symbols
            and d["kafka"]["partition"] != partition
            for d in self.documents.values()
        )

    def places(self, feed: Feed[Any], ids: Sequence[str]) -> Mapping[str, LogPosition]:
        """See ports.Store."""
        assert isinstance(feed, Feed)
        positions = {n: self.documents[n]["kafka"] for n in ids if n in self.documents}
        return {
            n: LogPosition(log_of(p), p["partition"], p["offset"]) for n, p in positions.items()
        }

    def log_name(self, topic: str, log_id: str | None) -> str:
        """See ports.Store."""
        if log_id is None:
            return ""
        return "" if self.first_logs.setdefault(topic, log_id) == log_id else log_id

    def _past(
        self, feed: Feed[Any], series: Series, below: Below
    ) -> list[tuple[int, datetime, Any]]:
        return sorted(
            (d["kafka"]["offset"], d[TIME_FIELD], feed.value_in(d))
            for d in self.documents.values()
            if (d["source"], d["symbol"]) == series
            and below.log in ("", log_of(d["kafka"]))
            and d["kafka"]["partition"] == below.partition
            and d["kafka"]["offset"] < below.offset
        )
