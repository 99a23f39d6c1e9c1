"""Events with the same id and different content: the first is stored, others are dead letters.

Only the content of the observation is compared: not the time of production, the schema version,
derived values, or what producers add without observing it (the price per hour, and the span over
which tokens were counted); nor the time of observation, for feeds with `is_one_at_any_time`.
"""

from collections.abc import Mapping
from datetime import UTC
from typing import Any

import bson

from millrace.clients.letter_headers import CONFLICT
from millrace.clients.mongodb import AS_STORED
from millrace.feeds.base import CLAIMED_FIELD, TIME_FIELD, Feed
from millrace.processor.decode import Taken
from millrace.processor.errors import BadRecord

NOT_SAID = frozenset({"produced_at", "schema_version", "price_per_hour_usd", "span_s"})
SAID_IN_META = frozenset({"unit"})
"""Fields of events that documents store among the derived values."""
DERIVED = frozenset({"meta", "cost_per_token", "ts"})
NOT_COMPARED = NOT_SAID | DERIVED | {"_id", "kafka", CLAIMED_FIELD}


def said(feed: Feed[Any], taken: Taken) -> dict[str, Any]:
    """The compared fields of an event, by name."""
    event, claimed_at = taken
    own = {name: getattr(event, name) for name in event.__struct_fields__ if name not in NOT_SAID}
    if feed.is_one_at_any_time:
        del own["observed_at"]
        return own
    return own | {"observed_at": (claimed_at or event.observed_at).astimezone(UTC)}


def between_events(feed: Feed[Any], first: Taken, second: Taken) -> BadRecord | None:
    """The error of the second of two events with the same id; None if they are equal."""
    return _conflict(said(feed, first), said(feed, second))


def between_documents(
    stored: Mapping[str, Any], made: dict[str, Any], *, at_any_time: bool = False
) -> BadRecord | None:
    """The error of a document's event, given the stored document with its id; None if equal.

    A field that only one of them has is from another release. `at_any_time`: times may differ.
    """
    again = bson.decode(bson.encode(made), AS_STORED)
    return _conflict(_compared(stored, at_any_time), _compared(again, at_any_time))


def _compared(document: Mapping[str, Any], at_any_time: bool) -> dict[str, Any]:
    own = {name: value for name, value in document.items() if name not in NOT_COMPARED}
    own |= {name: document["meta"][name] for name in SAID_IN_META if name in document["meta"]}
    if at_any_time:
        del own[TIME_FIELD]
        return own
    return own | {TIME_FIELD: document.get(CLAIMED_FIELD, document[TIME_FIELD])}


def _conflict(first: Mapping[str, Any], second: Mapping[str, Any]) -> BadRecord | None:
    names = sorted(n for n in first.keys() & second.keys() if first[n] != second[n])
    if not names:
        return None
    reason = f"an event of the same id came before, with another {', '.join(names)}"
    return BadRecord(CONFLICT, reason)
