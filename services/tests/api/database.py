"""MongoDB in memory, as the API asks it: contracts.stored_events compares the two."""

from collections.abc import Mapping, Sequence
from typing import Any

import bson
from pymongo.collection import Collection as MongoCollection
from services.tests.mongo import aggregated, in_order, matches, shown
from services.tests.stands import stands_for

from millrace.clients import topic_ids
from millrace.feeds import FEEDS
from millrace.feeds.base import (
    BY_LOG_POSITION,
    BY_POSITION,
    BY_SERIES,
    BY_SYMBOL,
    BY_TIME,
    TIME_FIELD,
)

Keys = Sequence[tuple[str, int]]
INDEXES = {one.keys: one for one in (BY_TIME, BY_SYMBOL, BY_SERIES, BY_POSITION, BY_LOG_POSITION)}


@stands_for(MongoCollection)
class Collection:
    """Documents, asked as pymongo asks. Each question has an index, and limited time."""

    def __init__(self, documents: Sequence[dict[str, Any]], error: Exception | None = None) -> None:
        self._documents = documents
        self._error = error
        self.examined: list[int] = []
        """How many documents each question was about."""
        self.indexes: list[Keys] = []
        """By which index each question went that has a condition."""
        self.answers: list[list[Mapping[str, Any]]] = []
        """What each question was answered."""

    def find(
        self,
        condition: Mapping[str, Any],
        projection: Mapping[str, Any] | None = None,
        *,
        sort: Keys = (),
        hint: Keys = (),
        limit: int | None = None,
        skip: int = 0,
        max_time_ms: int,
    ) -> list[Mapping[str, Any]]:
        assert limit is None or limit > 0, "MongoDB takes this for no limit"
        self._check(condition, max_time_ms)
        if condition and [*condition] != ["_id"]:
            index = INDEXES[tuple(hint or sort)]
            first = index.keys[0][0]
            assert first == TIME_FIELD or first in _fields(condition), "all of it is read"
            assert index.only_with is None or index.only_with in condition
            self.indexes.append(index.keys)
            assert not skip or _read(projection) <= {name for name, _ in index.keys}, (
                "what is passed over is read"
            )
        found = in_order((d for d in self._documents if matches(d, condition)), sort)
        self.examined.append(len(found))
        page = found[skip:] if limit is None else found[skip : skip + limit]
        if projection is not None:
            page = [shown(d, projection) for d in page]
        self.answers.append(page)
        return page

    def find_one(self, *arguments: Any, **options: Any) -> Mapping[str, Any] | None:
        return next(iter(self.find(*arguments, limit=1, **options)), None)

    def aggregate(
        self,
        pipeline: Sequence[Mapping[str, Any]],
        *,
        maxTimeMS: int,  # noqa: N803
        batchSize: int = 0,  # noqa: N803
    ) -> list[Mapping[str, Any]]:
        self._check({"pipeline": pipeline}, maxTimeMS)
        assert "$match" in pipeline[0], "everything is read"
        return aggregated(self._documents, pipeline)

    def _check(self, question: Mapping[str, Any], milliseconds: int) -> None:
        bson.encode(question)
        assert 0 < milliseconds < 30_000, "the socket would be the first to lose patience"
        if self._error is not None:
            raise self._error


def _read(projection: Mapping[str, Any] | None) -> set[str]:
    """Which fields of a document have to be known."""
    if projection is None:
        return {"all of them"}
    return {name for name, shown in {"_id": 1, **projection}.items() if shown}


def _fields(condition: Mapping[str, Any]) -> set[str]:
    """What a condition is about."""
    parts = [part for name in ("$and", "$or") for part in condition.get(name, ())]
    return {*condition}.union(*map(_fields, parts))


class Database:
    """A collection for each feed, and the first logs of topics."""

    def __init__(self, *documents: dict[str, Any]) -> None:
        self.documents = list(documents)
        self.first_logs: dict[str, str] = {}
        self.error: Exception | None = None
        """What every question ends with."""

    def __getitem__(self, name: str) -> Collection:
        if name == topic_ids.COLLECTION:
            found = [{"_id": topic, "log": log} for topic, log in self.first_logs.items()]
        else:
            found = [one for one in self.documents if FEEDS[one["feed"]].collection == name]
        return Collection(found, self.error)
