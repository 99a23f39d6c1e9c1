"""The store port on MongoDB: plain inserts whose `_id` is the event id."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
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
    WriteConcernError,
)

from millrace.clients import mongodb, topic_ids
from millrace.clients.mongodb import AUTHENTICATION_FAILED, Client, explain, reason
from millrace.feeds.base import Feed, Index, Series
from millrace.feeds.history import Point
from millrace.processor.batch import Inserted
from millrace.processor.errors import Permanent, Transient, Unknown
from millrace.processor.pace import Pace
from millrace.processor.points import Moment
from millrace.processor.ports import Below, LogPosition
from millrace.processor.sinks.past import Past

DUPLICATE_KEY = 11000
# Errors of the document: BadValue, TypeMismatch, DottedFieldName, DollarPrefixedFieldName,
# DocumentValidationFailure, BSONObjectTooLarge, KeyTooLong.
UNSTORABLE = frozenset({2, 14, 52, 57, 121, 10334, 17280})
# Transient errors of the server: HostUnreachable, HostNotFound, LockTimeout, CursorNotFound,
# LockBusy, MaxTimeMSExpired, WriteConcernFailed, NetworkTimeout, ShutdownInProgress,
# UnsatisfiableWriteConcern, WriteConflict, ConflictingOperationInProgress,
# ReadConcernMajorityNotAvailableYet, QueryPlanKilled, PrimarySteppedDown,
# NetworkInterfaceExceededTimeLimit, CursorKilled, ExceededTimeLimit, TemporarilyUnavailable,
# ReauthenticationRequired, SocketException, NotWritablePrimary, InterruptedAtShutdown, Interrupted,
# InterruptedDueToReplStateChange, NotPrimaryNoSecondaryOk, NotPrimaryOrSecondary, OutOfDiskSpace.
# fmt: off
PASSING = frozenset({
    6, 7, 24, 43, 46, 50, 64, 89, 91, 100, 112, 117, 134, 175, 189, 202, 237, 262, 365, 391, 9001,
    10107, 11600, 11601, 11602, 13435, 13436, 14031,
})
# fmt: on
READ_MILLISECONDS = 20_000
LARGEST_DOCUMENT = 16 * 1024 * 1024
ENCODING_ERRORS = (BSONError, DocumentTooLarge, OverflowError, UnicodeEncodeError)


class MongoStore:
    """See processor.ports.Store."""

    def __init__(self, client: Client, database: str) -> None:
        self._client = client
        self._database = client[database]

    def prepare(self, feeds: Iterable[Feed[Any]]) -> None:
        """Create missing indexes and reference documents. Raises Transient, Permanent."""
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
        """Check that the primary answers. Raises Transient, Permanent."""
        with _Kinds():
            self._client.admin.command("ping")

    def insert(self, collection: str, documents: Sequence[dict[str, Any]]) -> Inserted:
        """See processor.ports.Store."""
        try:
            return self._insert(collection, documents)
        except ENCODING_ERRORS:
            return self._insert_encodable(collection, documents)

    def stored(self, collection: str, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """See processor.ports.Store."""
        with _Kinds():
            found = self._database[collection].find(
                {"_id": {"$in": [*ids]}}, max_time_ms=READ_MILLISECONDS
            )
            return {document["_id"]: document for document in found}

    def newest_of(
        self,
        feed: Feed[Any],
        source: str,
        symbols: Sequence[str],
        moment: Moment | None,
        below: Below,
        pace: Pace,
    ) -> Iterator[tuple[str, Point | None]]:
        """See processor.ports.Store."""
        with _Kinds():
            yield from self._past(feed).newest_of(source, symbols, moment, below, pace)

    def window(
        self,
        feed: Feed[Any],
        series: Series,
        newest: datetime,
        below: Below,
        pace: Pace,
    ) -> Sequence[tuple[datetime, Any]]:
        """See processor.ports.Store."""
        with _Kinds():
            return self._past(feed).window(series, newest, below, pace)

    def has_claims(self, feed: Feed[Any]) -> bool:
        """See processor.ports.Store."""
        with _Kinds():
            return self._past(feed).has_claims()

    def is_elsewhere(
        self, feed: Feed[Any], source: str, symbols: Sequence[str], partition: int
    ) -> bool:
        """See processor.ports.Store."""
        with _Kinds():
            return self._past(feed).is_elsewhere(source, symbols, partition)

    def places(self, feed: Feed[Any], ids: Sequence[str]) -> Mapping[str, LogPosition]:
        """See processor.ports.Store."""
        with _Kinds():
            return self._past(feed).places(ids)

    def log_name(self, topic: str, log_id: str | None) -> str:
        """See processor.ports.Store."""
        with _Kinds():
            return topic_ids.enter(self._database, topic, log_id)

    def _past(self, feed: Feed[Any]) -> Past:
        return Past(feed, self._database[feed.collection])

    def _index(self, collection: str, indexes: Iterable[Index]) -> None:
        """Return when the indexes are built. After a timeout the server continues building, and the
        next call waits for that. Unavailable members are not waited for."""
        self._database[collection].create_indexes(
            [IndexModel(list(index.keys), **_only(index)) for index in indexes],
            commitQuorum="majority",
        )

    def newest(self, feed: Feed[Any], symbols: Sequence[str] | None) -> Iterator[dict[str, Any]]:
        """See processor.cache_writer.Newest."""
        collection = self._database[feed.collection]
        with _Kinds():
            yield from mongodb.newest(collection, READ_MILLISECONDS, symbols=symbols)

    def _insert(self, collection: str, documents: Sequence[dict[str, Any]]) -> Inserted:
        try:
            with _Kinds():
                self._database[collection].insert_many(documents, ordered=False)
        except BulkWriteError as error:
            return _outcome(error, len(documents))
        return Inserted(len(documents))

    def _insert_encodable(self, collection: str, documents: Sequence[dict[str, Any]]) -> Inserted:
        """Insert documents without those that cannot be encoded as BSON."""
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
    """The result of a partly failed insert, in which duplicates are success."""
    duplicates = set()
    rejected: dict[int, str] = {}
    for failure in error.details["writeErrors"]:
        code = failure["code"]
        if code == DUPLICATE_KEY and failure.get("keyPattern") == {"_id": 1}:
            duplicates.add(failure["index"])
        elif code in UNSTORABLE or code == DUPLICATE_KEY:
            rejected[failure["index"]] = str(failure["errmsg"])
        else:
            raise _kind(code)(f"MongoDB: {failure['errmsg']} (code {code})") from None
    for concern in error.details["writeConcernErrors"]:
        raise _kind(concern["code"])(f"MongoDB: {concern['errmsg']}") from None
    return Inserted(count - len(duplicates) - len(rejected), frozenset(duplicates), rejected)


def _only(index: Index) -> dict[str, Any]:
    """The option that limits an index to some documents; MongoDB accepts only one of them."""
    if index.only_with:
        return {"partialFilterExpression": {index.only_with: {"$exists": True}}}
    return {"sparse": index.sparse}


def _kind(code: int | None) -> type[Transient | Unknown]:
    return Transient if code in PASSING else Unknown


class _Kinds:
    """Converts the library's errors to our kinds, which decide what happens next.

    A missing right on one collection affects only its feed.
    """

    def __enter__(self) -> None:
        pass

    def __exit__(self, _type: Any, error: BaseException | None, _trace: Any) -> None:
        if isinstance(error, BulkWriteError | DocumentTooLarge):
            return
        if isinstance(error, ConnectionFailure | WriteConcernError):
            raise Transient(f"MongoDB: {reason(error)}") from error
        if isinstance(error, OperationFailure):
            if error.code == AUTHENTICATION_FAILED:
                raise Permanent(str(explain(error))) from error
            passes = error.has_error_label("RetryableWriteError")
            kind = Transient if passes else _kind(error.code)
            raise kind(f"MongoDB: {reason(error)} (code {error.code})") from error
        if isinstance(error, PyMongoError):
            raise Unknown(f"MongoDB: {reason(error)} ({type(error).__name__})") from error
