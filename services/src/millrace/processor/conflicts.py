"""Events that have one id and do not say the same: the first is stored, others are dead letters.

What is compared is what an event says of its observation: not when it was produced, nor by which
version of its schema, nor what is derived, nor what producers add that do not observe it, the price
of an hour and the span that tokens were counted over; nor when it was observed, in a feed whose
events are one at any time.
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
"""What events say, and documents keep with what is derived."""
DERIVED = frozenset({"meta", "cost_per_token", "ts"})
NOT_COMPARED = NOT_SAID | DERIVED | {"_id", "kafka", CLAIMED_FIELD}


def said(feed: Feed[Any], taken: Taken) -> dict[str, Any]:
    """What an event says, by the names of its fields."""
    event, claimed_at = taken
    own = {name: getattr(event, name) for name in event.__struct_fields__ if name not in NOT_SAID}
    if feed.is_one_at_any_time:
        del own["observed_at"]
        return own
    return own | {"observed_at": (claimed_at or event.observed_at).astimezone(UTC)}


def between_events(feed: Feed[Any], first: Taken, second: Taken) -> BadRecord | None:
    """What is wrong with the second of two events that have one id; None if they say the same."""
    return _conflict(said(feed, first), said(feed, second))


def between_documents(
    stored: Mapping[str, Any], made: dict[str, Any], *, at_any_time: bool = False
) -> BadRecord | None:
    """What is wrong with the event of a document, another of its id being stored.

    A field that only one of them has is of another release. `at_any_time`: their times may differ.
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
