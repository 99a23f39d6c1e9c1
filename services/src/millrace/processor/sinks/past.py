"""Histories of series from MongoDB. One index covers every query: BY_SERIES, or that of a named
log."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from pymongo.collection import Collection
from pymongo.errors import ExecutionTimeout

from millrace.clients import topic_ids
from millrace.events import EARLIEST
from millrace.feeds.base import (
    BY_CLAIM,
    BY_SERIES,
    CLAIMED_FIELD,
    TIME_FIELD,
    Feed,
    Index,
    Series,
    series_index,
)
from millrace.feeds.history import Point
from millrace.processor.pace import Pace
from millrace.processor.points import Moment
from millrace.processor.ports import Below, LogPosition

LIMIT_MILLISECONDS = 5_000
"""An answer takes milliseconds: one index seek per series."""
PAGE = 5_000


class Past:
    """See processor.ports.Store; raises PyMongoError."""

    def __init__(self, feed: Feed[Any], collection: Collection[dict[str, Any]]) -> None:
        self._feed = feed
        self._collection = collection

    def newest_of(
        self,
        source: str,
        symbols: Sequence[str],
        moment: Moment | None,
        below: Below,
        pace: Pace,
    ) -> Iterator[tuple[str, Point | None]]:
        """See processor.ports.Store."""
        try:
            found = self._at_once(source, symbols, moment, below) if below.offset else {}
        except ExecutionTimeout:
            # Many stored documents are not below that offset, because the log is read again.
            for number, symbol in enumerate(symbols):
                if number:
                    pace.turn()
                yield symbol, self._one(Series(source, symbol), moment, below, pace)
        else:
            yield from ((symbol, found.get(symbol)) for symbol in symbols)

    def window(
        self, series: Series, newest: datetime, below: Below, pace: Pace
    ) -> Sequence[tuple[datetime, Any]]:
        """See processor.ports.Store."""
        times = {"$gte": newest - self._feed.window, "$lte": newest}
        condition = {**_of(series.source, series.symbol, below), TIME_FIELD: times}
        condition["kafka.offset"] = {"$lt": below.offset}
        documents = [*self._read(condition, {**self._shown, "kafka.offset": 1}, below, pace)]
        documents.sort(key=lambda document: document["kafka"]["offset"])
        return [self._point(document) for document in documents]

    def has_claims(self) -> bool:
        """See processor.ports.Store."""
        return self._has_one({CLAIMED_FIELD: {"$gte": EARLIEST}}, BY_CLAIM)

    def is_elsewhere(self, source: str, symbols: Sequence[str], partition: int) -> bool:
        """See processor.ports.Store."""
        condition = {
            "source": source,
            "symbol": {"$in": [*symbols]},
            "kafka.partition": {"$ne": partition},
        }
        return self._has_one(condition, BY_SERIES)

    def places(self, ids: Sequence[str]) -> dict[str, LogPosition]:
        """See processor.ports.Store."""
        found = self._collection.find(
            {"_id": {"$in": [*ids]}},
            {"kafka": 1},
            hint="_id_",
            max_time_ms=LIMIT_MILLISECONDS,
        )
        kept = {document["_id"]: document["kafka"] for document in found}
        return {
            event_id: LogPosition(one.get("log", topic_ids.FIRST), one["partition"], one["offset"])
            for event_id, one in kept.items()
        }

    def _has_one(self, condition: Mapping[str, Any], index: Index) -> bool:
        found = self._collection.find_one(
            condition, {"_id": 1}, hint=[*index.keys], max_time_ms=LIMIT_MILLISECONDS
        )
        return found is not None

    def _at_once(
        self, source: str, symbols: Sequence[str], moment: Moment | None, below: Below
    ) -> dict[str, Point]:
        condition = {**_of(source, {"$in": [*symbols]}, below), **_until(moment)}
        condition["kafka.offset"] = {"$lt": below.offset}
        index = dict(series_index(below.log))
        # With this pipeline MongoDB seeks from symbol to symbol in the index, and reads nothing
        # between.
        pipeline: list[dict[str, Any]] = [
            {"$match": condition},
            {"$sort": index},
            {"$group": {"_id": "$symbol", "newest": {"$first": "$$ROOT"}}},
            {"$replaceRoot": {"newRoot": "$newest"}},
            {"$project": {**self._shown, "symbol": 1}},
        ]
        found = self._collection.aggregate(pipeline, hint=index, maxTimeMS=LIMIT_MILLISECONDS)
        return {document["symbol"]: self._point(document) for document in found}

    def _one(self, series: Series, moment: Moment | None, below: Below, pace: Pace) -> Point | None:
        condition = {**_of(series.source, series.symbol, below), **_until(moment)}
        shown = {"_id": 0, TIME_FIELD: 1, "kafka.offset": 1}
        for key in self._read(condition, shown, below, pace):
            offset = key["kafka"]["offset"]
            if offset < below.offset:
                own = {**condition, TIME_FIELD: key[TIME_FIELD], "kafka.offset": offset}
                document = self._collection.find_one(
                    own, self._shown, hint=series_index(below.log), max_time_ms=LIMIT_MILLISECONDS
                )
                return self._point(document) if document else None
        return None

    def _read(
        self, condition: Mapping[str, Any], shown: Mapping[str, Any], below: Below, pace: Pace
    ) -> Iterator[dict[str, Any]]:
        """Read documents in the order of the index, in small and fast pages, however many."""
        order = series_index(below.log)
        found = self._collection.find(condition, shown, sort=order, hint=order, batch_size=PAGE)
        for number, document in enumerate(found, start=1):
            yield document
            if not number % PAGE:
                pace.beat()

    @property
    def _shown(self) -> dict[str, int]:
        return {TIME_FIELD: 1, **dict.fromkeys(self._feed.stored_fields, 1)}

    def _point(self, document: Mapping[str, Any]) -> tuple[datetime, Any]:
        return document[TIME_FIELD], self._feed.value_in(document)


def _of(source: str, symbol: Any, below: Below) -> dict[str, Any]:
    own = {"source": source, "symbol": symbol, "kafka.partition": below.partition}
    return {**topic_ids.within(below.log), **own}


def _until(moment: Moment | None) -> dict[str, Any]:
    if moment is None:
        return {}
    return {TIME_FIELD: {"$lte" if moment.inclusive else "$lt": moment.time}}
