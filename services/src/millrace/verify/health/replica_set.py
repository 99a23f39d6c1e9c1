"""`millrace verify mongodb`: members serve, one is primary, collections have their indexes."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from pymongo import MongoClient
from pymongo.database import Database

from millrace.clients import mongodb
from millrace.config import Settings
from millrace.feeds import FEEDS
from millrace.feeds.base import Index, Reference
from millrace.verify import checks
from millrace.verify.checks import Check, PartReport

LIMIT_MILLISECONDS = 5000


def verify(settings: Settings) -> PartReport:
    """Check the state of every member, and the collections and indexes on the primary."""
    members = [host.strip() for host in settings.mongodb_hosts.split(",")]
    states: dict[str, Mapping[str, Any]] = {}
    found = [
        check
        for host in members
        for check in checks.attempt(host, "serves", partial(member, host, states, settings))
    ]
    found.append(primaries(states))

    def ask() -> list[Check]:
        with mongodb.client(settings, serverSelectionTimeoutMS=LIMIT_MILLISECONDS) as client:
            return collections(client[settings.mongodb_database], settings.feeds)

    return checks.report("MongoDB", found + checks.attempt("collections", "listed", ask))


def member(host: str, states: dict[str, Mapping[str, Any]], settings: Settings) -> list[Check]:
    """Query the state of one member with `hello`, which needs no login."""
    with MongoClient[dict[str, Any]](
        host,
        directConnection=True,
        tls=True,
        tlsCAFile=str(settings.mongodb_ca_file),
        serverSelectionTimeoutMS=LIMIT_MILLISECONDS,
    ) as client:
        states[host] = client.admin.command("hello")
    return [serving(host, states[host], settings.mongodb_replica_set)]


def serving(host: str, state: Mapping[str, Any], replica_set: str) -> Check:
    """Whether a member is primary or secondary of this set."""
    roles = (("primary", "isWritablePrimary"), ("secondary", "secondary"))
    role = next((word for word, field in roles if state.get(field)), "neither")
    name = state.get("setName", "no set")
    return Check(host, "serves", f"{role} of {name}", role != "neither" and name == replica_set)


def primaries(states: Mapping[str, Mapping[str, Any]]) -> Check:
    """Whether all answering members name the same primary, which is one of them."""
    named = sorted({str(state.get("primary", "none")) for state in states.values()})
    is_one = len(named) == 1 and any(state.get("isWritablePrimary") for state in states.values())
    return Check("replica set", "has one primary", ", ".join(named) or "none", is_one)


def collections(database: Database[dict[str, Any]], feeds: Sequence[str]) -> list[Check]:
    """Whether the feeds' collections exist with their indexes, and their sizes."""
    there = set(database.list_collection_names())
    found = []
    for feed in (FEEDS[name] for name in feeds):
        if feed.collection not in there:
            found.append(Check(feed.collection, "exists", "there is no such collection", ok=False))
            continue
        collection = database[feed.collection]
        count = collection.estimated_document_count()
        found.append(Check(feed.collection, "exists", f"{count:,} documents", ok=True))
        found.append(indexes(feed.collection, feed.indexes, collection.index_information()))
    wanted = {
        reference.collection: reference for name in feeds if (reference := FEEDS[name].reference)
    }
    for name, reference in wanted.items():
        there_too = database[name].distinct("_id")
        found += references(reference, there_too, database[name].index_information())
    return found


def indexes(
    collection: str, declared: Sequence[Index], found: Mapping[str, Mapping[str, Any]]
) -> Check:
    """Whether each declared index is among those found by `index_information`."""
    there = {
        tuple((field, direction) for field, direction in index["key"]) for index in found.values()
    }
    missing = [
        ", ".join(f"{field} {direction}" for field, direction in index.keys)
        for index in declared
        if index.keys not in there
    ]
    name = f"{len(declared)} indexes"
    said = f"missing: {'; '.join(missing)}" if missing else "all"
    return Check(collection, name, said, not missing)


def references(
    reference: Reference, found: Sequence[Any], information: Mapping[str, Mapping[str, Any]]
) -> list[Check]:
    """Whether the reference documents exist by their `_id`, with their indexes."""
    missing = [str(one["_id"]) for one in reference.documents if one["_id"] not in found]
    said = f"missing: {', '.join(missing)}" if missing else "all"
    name = f"{len(reference.documents)} documents to start with"
    return [
        Check(reference.collection, name, said, not missing),
        indexes(reference.collection, reference.indexes, information),
    ]
