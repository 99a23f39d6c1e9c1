"""The store port on MongoDB: plain inserts whose `_id` is the event id."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

import bson
from bson.errors import BSONError
from pymongo import IndexModel
from pymongo.errors import (
    BulkWriteError,
    ConnectionFailure,
    DocumentTooLarge,
    OperationFailure,
    PyMongoError,
)

from millrace import mongo
from millrace.feeds.base import Feed, Index, Series
from millrace.feeds.history import Point
from millrace.mongo import Client, explain, reason
from millrace.processor.batch import Inserted
from millrace.processor.errors import Permanent, Transient
from millrace.processor.points import Moment
from millrace.processor.ports import Below
from millrace.sinks.past import Past

DUPLICATE_KEY = 11000
# The document is at fault: BadValue, TypeMismatch, DottedFieldName, DollarPrefixedFieldName,
# DocumentValidationFailure, BSONObjectTooLarge, KeyTooLong. Any other may pass: a full disk does.
UNSTORABLE = frozenset({2, 14, 52, 57, 121, 10334, 17280})
NEWEST_MILLISECONDS = 20_000
OWN_MILLISECONDS = 20_000
LARGEST_DOCUMENT = 16 * 1024 * 1024
ENCODING_ERRORS = (BSONError, DocumentTooLarge, OverflowError, UnicodeEncodeError)


class MongoStore:
    """See processor.ports.Store."""

    def __init__(self, client: Client, database: str) -> None:
        self._client = client
        self._database = client[database]

    def prepare(self, feeds: Iterable[Feed[Any]]) -> None:
        """Create what is missing: indexes, documents to refer to. Transient, Permanent."""
        with _Kinds():
            for feed in feeds:
                self._index(feed.collection, feed.indexes)
                if feed.reference is not None:
                    self._index(feed.reference.collection, feed.reference.indexes)
                    for document in feed.reference.documents:
                        self._database[feed.reference.collection].replace_one(
                            {"_id": document["_id"]}, document, upsert=True
                        )

    def ping(self) -> None:
        """Ask the primary whether it is there. Transient, Permanent."""
        with _Kinds():
            self._client.admin.command("ping")

    def insert(self, collection: str, documents: Sequence[dict[str, Any]]) -> Inserted:
        """See processor.ports.Store."""
        try:
            return self._insert(collection, documents)
        except ENCODING_ERRORS:
            return self._insert_encodable(collection, documents)

    def own(self, collection: str, documents: Sequence[dict[str, Any]]) -> set[str]:
        """See processor.ports.Store."""
        positions = {document["_id"]: document["kafka"] for document in documents}
        with _Kinds():
            stored = self._database[collection].find(
                {"_id": {"$in": [*positions]}}, {"kafka": 1}, max_time_ms=OWN_MILLISECONDS
            )
            return {item["_id"] for item in stored if item["kafka"] == positions[item["_id"]]}

    def newest_of(
        self,
        feed: Feed[Any],
        source: str,
        symbols: Sequence[str],
        moment: Moment | None,
        below: Below,
        beat: Callable[[], None],
    ) -> Iterator[tuple[str, Point | None]]:
        """See processor.ports.Store."""
        with _Kinds():
            yield from self._past(feed).newest_of(source, symbols, moment, below, beat)

    def window(
        self,
        feed: Feed[Any],
        series: Series,
        newest: datetime,
        below: Below,
        beat: Callable[[], None],
    ) -> Sequence[tuple[datetime, Any]]:
        """See processor.ports.Store."""
        with _Kinds():
            return self._past(feed).window(series, newest, below, beat)

    def _past(self, feed: Feed[Any]) -> Past:
        return Past(feed, self._database[feed.collection])

    def _index(self, collection: str, indexes: Iterable[Index]) -> None:
        """Return when they are built. The server goes on building when its answer takes too long,
        and who asks again waits for that. A member that is away is not waited for."""
        self._database[collection].create_indexes(
            [IndexModel(list(index.keys), unique=index.unique) for index in indexes],
            commitQuorum="majority",
        )

    def newest(self, feed: Feed[Any], symbols: Sequence[str] | None) -> Iterator[dict[str, Any]]:
        """See processor.latest.Newest."""
        collection = self._database[feed.collection]
        with _Kinds():
            yield from mongo.newest(collection, NEWEST_MILLISECONDS, symbols=symbols)

    def _insert(self, collection: str, documents: Sequence[dict[str, Any]]) -> Inserted:
        try:
            with _Kinds():
                self._database[collection].insert_many(documents, ordered=False)
        except BulkWriteError as error:
            return _outcome(error, len(documents))
        return Inserted(len(documents))

    def _insert_encodable(self, collection: str, documents: Sequence[dict[str, Any]]) -> Inserted:
        """One document that has no BSON form must not hold up the others."""
        rejected: dict[int, str] = {}
        good = []
        for index, document in enumerate(documents):
            try:
                if len(bson.encode(document)) > LARGEST_DOCUMENT:
                    raise DocumentTooLarge("the document is larger than MongoDB allows")
            except ENCODING_ERRORS as error:
                rejected[index] = str(error)
            else:
                good.append(index)
        if not good:
            return Inserted(0, rejected=rejected)
        result = self._insert(collection, [documents[index] for index in good])
        rejected |= {good[position]: reason for position, reason in result.rejected.items()}
        duplicates = frozenset(good[position] for position in result.duplicates)
        return Inserted(result.stored, duplicates, rejected)


def _outcome(error: BulkWriteError, count: int) -> Inserted:
    """What a partly failed insert means: duplicates are success, anything unknown may pass."""
    duplicates = set()
    rejected: dict[int, str] = {}
    for failure in error.details["writeErrors"]:
        code = failure["code"]
        if code == DUPLICATE_KEY and failure.get("keyPattern") == {"_id": 1}:
            duplicates.add(failure["index"])
        elif code in UNSTORABLE or code == DUPLICATE_KEY:
            rejected[failure["index"]] = str(failure["errmsg"])
        else:
            raise Transient(f"MongoDB: {failure['errmsg']}") from None
    if error.details["writeConcernErrors"]:
        raise Transient(f"MongoDB: {error.details['writeConcernErrors'][0]['errmsg']}") from None
    return Inserted(count - len(duplicates) - len(rejected), frozenset(duplicates), rejected)


class _Kinds:
    """Turns the library's errors into the kinds that decide what happens next."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: Any, error: BaseException | None, _trace: Any) -> None:
        if isinstance(error, BulkWriteError) or not isinstance(error, PyMongoError):
            return
        if isinstance(error, DocumentTooLarge):
            return
        if isinstance(error, OperationFailure) and not isinstance(error, ConnectionFailure):
            refusal = explain(error)
            if refusal:
                raise Permanent(str(refusal)) from error
        raise Transient(f"MongoDB: {reason(error)}") from error
