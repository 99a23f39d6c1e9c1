"""The log of a position: a topic that is deleted and made again has a new log, from offset 0.

Kafka gives every topic an id. The first known log of a topic has no name: its documents and dead
letters have positions without one, like all from before logs were told apart. Later logs are named
by their topic's id.
"""

from typing import Any

import msgspec
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

COLLECTION = "logs"
"""The collection with the id of each topic's first log."""
FIRST = ""
LIMIT_MILLISECONDS = 5_000


class _Noted(msgspec.Struct, frozen=True):
    log: str | None = None


def known(client: Any, topic: str) -> str | None:
    """The id of a topic's log in a consumer's last metadata; None if it is not there."""
    # The library does not expose its metadata. Its administration client would query the broker
    # separately, and might get the id of another log than that of these records.
    found = client._cluster.topic_id(topic)
    return None if found is None else str(found)


def is_former(text: str | None, log_id: str | None) -> bool:
    """Whether a commit with this metadata is in another log. Earlier versions name no log."""
    try:
        noted = msgspec.json.decode(text or "", type=_Noted).log
    except msgspec.DecodeError:
        return False
    return None not in (noted, log_id) and noted != log_id


def name(database: Database[dict[str, Any]], topic: str, log_id: str | None) -> str:
    """The name of a topic's log. Raises PyMongoError."""
    if log_id is None:
        return FIRST
    return FIRST if _first(database, topic) in (None, log_id) else log_id


def enter(database: Database[dict[str, Any]], topic: str, log_id: str | None) -> str:
    """The name of a topic's log, which becomes the first if none is known. PyMongoError."""
    if log_id is None:
        return FIRST
    first = _first(database, topic)
    if first is None:
        try:
            database[COLLECTION].insert_one({"_id": topic, "log": log_id})
        except DuplicateKeyError:  # another processor stored it first
            return name(database, topic, log_id)
    return FIRST if first in (None, log_id) else log_id


def _first(database: Database[dict[str, Any]], topic: str) -> str | None:
    """The id of a topic's first log; None if none is known. Raises PyMongoError."""
    found = database[COLLECTION].find_one({"_id": topic}, max_time_ms=LIMIT_MILLISECONDS)
    return None if found is None else found["log"]


def within(log: str) -> dict[str, str]:
    """The condition for documents of a log. If there is only the first, all are in it."""
    return {"kafka.log": log} if log else {}
