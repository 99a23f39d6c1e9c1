"""What must be stored for a log of records, computed from the log alone.

The processor crashes, repeats, retries and rebuilds; none of that may show. The oracle does
nothing of it: it reads a feed's log once, from its first record on, and says what each record must
have led to.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import bson
from bson.errors import BSONError

from millrace.events import Alert
from millrace.feeds import Feed
from millrace.feeds.base import TIME_FIELD, Series
from millrace.feeds.history import Past
from millrace.mongo import AS_STORED
from millrace.processor.decode import decoder
from millrace.processor.errors import BadRecord


class Record(NamedTuple):
    """A record of the feed's topic."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None


@dataclass(frozen=True, slots=True)
class Stored:
    """The record is the first of its event: this document is stored, and this alert raised.

    The document is as MongoDB gives it back: times in UTC and in whole milliseconds.
    """

    document: dict[str, Any]
    alert: Alert | None


@dataclass(frozen=True, slots=True)
class Repeated:
    """The event came before: nothing more is stored."""

    record: Record
    event_id: str


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """The record is not an event of the feed: it is a dead letter."""

    record: Record
    reason: str


Outcome = Stored | Repeated | DeadLetter


def outcomes(
    feed: Feed[Any],
    records: Iterable[Record],
    alert_threshold: float,
    past: Iterable[Mapping[str, Any]] = (),
) -> Iterator[Outcome]:
    """What each record leads to. Records of one partition come in the order of their offsets.

    `past` are the documents, in that order too, whose records retention has removed: they cannot be
    checked, and what comes after them depends on them. Memory grows with the number of events by
    their ids only.
    """
    histories: dict[tuple[int, Series], Past] = {}
    seen: set[str] = set()
    for document in past:
        seen.add(document["_id"])
        series = Series(document["source"], document["symbol"])
        place = (document["kafka"]["partition"], series)
        history = histories.setdefault(place, feed.history(feed.window))
        history.add(document[TIME_FIELD], feed.value_in(document))
    decode = decoder(feed)
    for record in records:
        try:
            event = decode(record.value)
        except BadRecord as bad:
            yield DeadLetter(record, str(bad))
            continue
        if event.event_id in seen:
            yield Repeated(record, event.event_id)
            continue
        seen.add(event.event_id)
        place = (record.partition, Series(event.source, event.symbol))
        history = histories.setdefault(place, feed.history(feed.window))
        meta = feed.derive(event, history)
        history.add(event.observed_at, feed.value(event))
        position = {"topic": feed.topic, "partition": record.partition, "offset": record.offset}
        document = {"_id": event.event_id, **feed.document(event, meta), "kafka": position}
        try:
            stored = bson.decode(bson.encode(document), AS_STORED)
        except (BSONError, OverflowError, UnicodeEncodeError) as error:
            yield DeadLetter(record, str(error))
            continue
        alert = feed.alert(event, meta, alert_threshold) if feed.alert else None
        yield Stored(stored, alert)
