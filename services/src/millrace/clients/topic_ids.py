"""Which log a position is in: a topic that is deleted and made again begins a new one, at offset 0.

Kafka gives every topic an id. The first log that is known of a topic has no name: its documents and
dead letters say where they come from without one, as all did before logs were told apart. A later
one is named by its topic's id.
"""

from typing import Any

import msgspec
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

COLLECTION = "logs"
"""By topic, the id of its first log."""
FIRST = ""
LIMIT_MILLISECONDS = 5_000


class _Noted(msgspec.Struct, frozen=True):
    log: str | None = None


def known(client: Any, topic: str) -> str | None:
    """The id of a topic's log, as a consumer's last metadata has it; None while it has none."""
    # The library hands its metadata to nobody. Its client for administration would ask the broker
    # by itself, and be told of another log than the one that these records are from.
    found = client._cluster.topic_id(topic)
    return None if found is None else str(found)


def is_former(text: str | None, log_id: str | None) -> bool:
    """Whether a commit with this text was made in another log. An earlier version says no log."""
    try:
        noted = msgspec.json.decode(text or "", type=_Noted).log
    except msgspec.DecodeError:
        return False
    return None not in (noted, log_id) and noted != log_id


def name(database: Database[dict[str, Any]], topic: str, log_id: str | None) -> str:
    """The name of a topic's log. PyMongoError."""
    if log_id is None:
        return FIRST
    return FIRST if _first(database, topic) in (None, log_id) else log_id


def enter(database: Database[dict[str, Any]], topic: str, log_id: str | None) -> str:
    """The same; a topic of which no log is known has its first now. PyMongoError."""
    if log_id is None:
        return FIRST
    first = _first(database, topic)
    if first is None:
        try:
            database[COLLECTION].insert_one({"_id": topic, "log": log_id})
        except DuplicateKeyError:  # another processor has seen it first
            return name(database, topic, log_id)
    return FIRST if first in (None, log_id) else log_id


def _first(database: Database[dict[str, Any]], topic: str) -> str | None:
    """The id of a topic's first log, None while none is known. PyMongoError."""
    found = database[COLLECTION].find_one({"_id": topic}, max_time_ms=LIMIT_MILLISECONDS)
    return None if found is None else found["log"]


def within(log: str) -> dict[str, str]:
    """The condition for documents of a log. While there is but the first, all are of it."""
    return {"kafka.log": log} if log else {}
