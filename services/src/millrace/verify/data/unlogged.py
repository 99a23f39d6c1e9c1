"""Documents of records that are not, or no longer, in a partition of the log."""

from collections.abc import Collection as Ids
from collections.abc import Iterable, Mapping
from typing import Any

from pymongo.collection import Collection

from millrace.clients import topic_ids
from millrace.feeds import Feed
from millrace.feeds.base import TIME_FIELD, Series, position_index, series_index
from millrace.verify.data.compare import Partition

LIMIT_MILLISECONDS = 25_000


class Unlogged:
    """See oracle.Unlogged. It reads a little at a time, because there may be years of documents."""

    def __init__(
        self, feed: Feed[Any], collection: Collection[dict[str, Any]], partition: Partition
    ) -> None:
        self._feed = feed
        self._partition = partition
        self._collection = collection
        self._all = {
            **topic_ids.within(partition.log),
            "kafka.partition": partition.number,
            "kafka.offset": {"$lt": partition.start},
        }

    def count(self) -> int:
        """Number of these documents."""
        hint = position_index(self._partition.log)
        return self._collection.count_documents(self._all, hint=hint, maxTimeMS=LIMIT_MILLISECONDS)

    def documents(self, partition: int, series: Series) -> Iterable[Mapping[str, Any]]:  # noqa: ARG002 - one
        """See oracle.Unlogged. Documents older than the feed's window are not in its history."""
        if not (self._feed.stored_fields and self._partition.start):
            return ()
        own = {**self._all, "source": series.source, "symbol": series.symbol}
        # Use the index of one series: another one would read every document without a record.
        index = series_index(self._partition.log)
        newest = self._collection.find_one(
            own,
            {TIME_FIELD: 1},
            sort=[(TIME_FIELD, -1)],
            hint=index,
            max_time_ms=LIMIT_MILLISECONDS,
        )
        if newest is None:
            return ()
        own[TIME_FIELD] = {"$gte": newest[TIME_FIELD] - self._feed.window}
        shown = {TIME_FIELD: 1, **dict.fromkeys(self._feed.stored_fields, 1)}
        return self._collection.find(
            own,
            shown,
            sort=[("kafka.offset", 1)],
            hint=index,
            max_time_ms=LIMIT_MILLISECONDS,
        )

    def known(self, event_ids: Ids[str]) -> Ids[str]:
        """See oracle.Unlogged."""
        log, number = self._partition.log, self._partition.number
        elsewhere: list[Any] = [self._all, {"kafka.partition": {"$ne": number}}]
        if log:
            elsewhere.append({"kafka.log": {"$ne": log}})
        condition = {"_id": {"$in": list(event_ids)}, "$or": elsewhere}
        found = self._collection.find(
            condition, {"_id": 1}, hint="_id_", max_time_ms=LIMIT_MILLISECONDS
        )
        return [document["_id"] for document in found]


def former_documents(collection: Collection[dict[str, Any]], log: str) -> int:
    """Number of documents of other logs than this named one. New documents are of this log."""
    limit = LIMIT_MILLISECONDS
    stored = collection.count_documents({}, hint="_id_", maxTimeMS=limit)
    hint = position_index(log)
    own = collection.count_documents(topic_ids.within(log), hint=hint, maxTimeMS=limit)
    return max(0, stored - own)
