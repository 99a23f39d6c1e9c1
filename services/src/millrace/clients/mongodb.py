"""MongoDB clients from the settings, and a check that reports why one cannot be used."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bson.codec_options import CodecOptions
from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.errors import ConnectionFailure, OperationFailure, PyMongoError

from millrace.config import Settings, about
from millrace.errors import ConfigurationError, MillraceError
from millrace.feeds.base import TIME_FIELD

MECHANISM = "SCRAM-SHA-256"
AUTHENTICATION_FAILED = 18
UNAUTHORIZED = 13

AT_ONCE = 500
"""Number of documents in memory while those of many symbols are read."""
QUESTION = 50_000
"""Number of symbols per query: MongoDB reads ahead, which is wasted for unused results."""

AS_STORED: CodecOptions[dict[str, Any]] = CodecOptions(tz_aware=True)
"""How our clients decode BSON: times in UTC, in whole milliseconds."""

Client = MongoClient[dict[str, Any]]


class CredentialsRefused(MillraceError):
    """MongoDB answered and refused this user with this password."""


class NotAllowed(MillraceError):
    """MongoDB denies this user this action."""


class DatabaseUnreachable(MillraceError):
    """No usable member of the replica set answered in time."""


def client(settings: Settings, **overrides: Any) -> Client:
    """A client whose acknowledged writes survive a crash; it connects at its first use."""
    settings.require("mongodb_username", "mongodb_password")
    options: dict[str, Any] = {
        "appname": f"millrace-{settings.mongodb_username}",
        "replicaSet": settings.mongodb_replica_set,
        "username": settings.mongodb_username,
        "password": settings.mongodb_password.get_secret_value(),
        "authSource": settings.mongodb_database,
        "authMechanism": MECHANISM,
        "tls": True,
        "tlsCAFile": str(settings.mongodb_ca_file),
        "w": "majority",
        "journal": True,
        "tz_aware": True,
        "connectTimeoutMS": 5_000,
        "serverSelectionTimeoutMS": 5_000,
        # Longer than a majority write takes on a busy disk; then the connection counts as dead.
        "socketTimeoutMS": 30_000,
    }
    hosts = [host.strip() for host in settings.mongodb_hosts.split(",")]
    with about("mongodb_ca_file"):
        try:
            return MongoClient(hosts, **(options | overrides))
        except OSError as error:
            path = settings.mongodb_ca_file
            raise ConfigurationError(f"cannot read the authority in {path}: {error}") from None


def check(connection: Client) -> None:
    """Log in at the primary; raise a one-line error if that is impossible."""
    try:
        connection.admin.command("ping")
    except PyMongoError as error:
        raise explain(error) or error from error


def newest(
    collection: Collection[dict[str, Any]],
    milliseconds: int,
    *,
    symbols: Sequence[str] | None = None,
) -> Iterator[dict[str, Any]]:
    """The newest document of each of these symbols, or of all, a few in memory at a time.

    Each query has a time limit, however many symbols there are; otherwise raises PyMongoError.
    """
    if symbols is not None:
        for start in range(0, len(symbols), AT_ONCE):
            wanted = {"$in": [*symbols[start : start + AT_ONCE]]}
            pipeline = _newest(wanted)
            yield from collection.aggregate(pipeline, maxTimeMS=milliseconds)
        return
    last: str | None = ""
    while last is not None:
        page = _page(collection, milliseconds, last, QUESTION)
        last = None
        for number, document in enumerate(page, 1):
            yield document
            if number == QUESTION:
                last = document["symbol"]


def newest_page(
    collection: Collection[dict[str, Any]], milliseconds: int, after: str, limit: int
) -> list[dict[str, Any]]:
    """The newest document of each of the `limit` symbols after one, by symbol. PyMongoError."""
    return list(_page(collection, milliseconds, after, limit))


def _page(
    collection: Collection[dict[str, Any]], milliseconds: int, after: str, limit: int
) -> Iterator[dict[str, Any]]:
    pipeline = page_pipeline(after, limit)
    for document in collection.aggregate(pipeline, maxTimeMS=milliseconds, batchSize=AT_ONCE):
        # The next page relies on the order, which comes from the index and not from a sort.
        if document["symbol"] <= after:
            raise MillraceError("MongoDB gives symbols in another order than that of their index")
        after = document["symbol"]
        yield document


def page_pipeline(after: str, limit: int) -> list[dict[str, Any]]:
    """The aggregation of a page."""
    return [*_newest({"$gt": after}), {"$limit": limit}]


def _newest(symbols: Mapping[str, Any]) -> list[dict[str, Any]]:
    # In this form MongoDB seeks from symbol to symbol in the index, and reads nothing between. A
    # sort after it would read all of them first.
    return [
        {"$match": {"symbol": symbols}},
        {"$sort": {"symbol": 1, TIME_FIELD: -1}},
        {"$group": {"_id": "$symbol", "newest": {"$first": "$$ROOT"}}},
        {"$replaceRoot": {"newRoot": "$newest"}},
    ]


def explain(error: PyMongoError) -> MillraceError | None:
    """The error that a person has to correct, if it is one."""
    if isinstance(error, OperationFailure):
        if error.code == AUTHENTICATION_FAILED:
            return CredentialsRefused("MongoDB refused the credentials")
        if error.code == UNAUTHORIZED:
            return NotAllowed(f"MongoDB does not allow it: {reason(error)}")
    if isinstance(error, ConnectionFailure):
        return DatabaseUnreachable(f"MongoDB does not answer: {reason(error)}")
    return None


def reason(error: PyMongoError) -> str:
    """The first line of the error, without timeouts and the topology, which fill a screen."""
    text = str(error)
    for rest in (" (configured timeouts", ", full error", ", Topology Description"):
        text = text.partition(rest)[0]
    return text
