"""What is stored of records that are not in a partition of the log, or no longer."""

from collections.abc import Collection as Ids
from collections.abc import Iterable, Mapping
from typing import Any

from pymongo.collection import Collection

from millrace.feeds import Feed
from millrace.feeds.base import BY_POSITION, BY_SERIES, TIME_FIELD, Series
from millrace.verify.compare import Partition

LIMIT_MILLISECONDS = 25_000


class Forgotten:
    """See oracle.Forgotten. It is asked for little at a time: it may be years of documents."""

    def __init__(
        self, feed: Feed[Any], collection: Collection[dict[str, Any]], partition: Partition
    ) -> None:
        self._feed = feed
        self._partition = partition
        self._collection = collection
        self._all = {
            "kafka.partition": partition.number,
            "kafka.offset": {"$lt": partition.start},
        }

    def count(self) -> int:
        """How many documents that is."""
        hint = list(BY_POSITION.keys)
        return self._collection.count_documents(self._all, hint=hint, maxTimeMS=LIMIT_MILLISECONDS)

    def documents(self, partition: int, series: Series) -> Iterable[Mapping[str, Any]]:  # noqa: ARG002 - one
        """See oracle.Forgotten. What is older than a feed's window is no part of its history."""
        if not (self._feed.stored_fields and self._partition.start):
            return ()
        own = {**self._all, "source": series.source, "symbol": series.symbol}
        # By the index of one series: another would bring every document that has been forgotten.
        index = list(BY_SERIES.keys)
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
        """See oracle.Forgotten."""
        elsewhere = {"kafka.partition": {"$ne": self._partition.number}}
        condition = {"_id": {"$in": list(event_ids)}, "$or": [self._all, elsewhere]}
        found = self._collection.find(
            condition, {"_id": 1}, hint="_id_", max_time_ms=LIMIT_MILLISECONDS
        )
        return [document["_id"] for document in found]
