"""Computes what must be stored for a log of records, from the log alone.

The processor crashes, repeats, retries and rebuilds; none of this may affect the result. The oracle
does none of it: it reads a feed's log once, from the first record, and computes the outcome that
each record must have.
"""

from collections.abc import Collection, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple, Protocol

import bson
from bson.errors import BSONError

from millrace.clients.letter_headers import SKIPPED
from millrace.clients.mongodb import AS_STORED
from millrace.clients.topic_ids import FIRST
from millrace.events import Alert
from millrace.feeds import Feed
from millrace.feeds.base import CLAIMED_FIELD, TIME_FIELD, Series
from millrace.feeds.history import Past
from millrace.processor.conflicts import said
from millrace.processor.decode import Taken, taker
from millrace.processor.errors import BadRecord
from millrace.verify.data.seen import Seen

AT_ONCE = 500
"""Number of records that are read before checking which of their events were stored before."""


class Record(NamedTuple):
    """A record of the feed's topic."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    timestamp: int = -1
    timestamp_type: int = 0
    log: str = FIRST


@dataclass(frozen=True, slots=True)
class Stored:
    """The record is the first of its event: this document is stored, and this alert raised.

    The document is as MongoDB gives it back: times in UTC and in whole milliseconds.
    """

    document: dict[str, Any]
    alert: Alert | None


@dataclass(frozen=True, slots=True)
class Repeated:
    """The event came before: nothing more is stored. If its content differs from all earlier events
    with its id in this log, it is a dead letter."""

    record: Record
    event_id: str
    is_new: bool = False


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """The record is not a valid event of the feed: it is a dead letter."""

    record: Record
    reason: str


Outcome = Stored | Repeated | DeadLetter


class Unlogged(Protocol):
    """Documents of records that are not in this partition's log: retention has removed the records,
    or the event came before in another partition, when the topic had fewer, or in a former log."""

    def documents(self, partition: int, series: Series) -> Iterable[Mapping[str, Any]]:
        """A series' documents in the order of the log, as far back as its history reaches."""
        ...

    def known(self, event_ids: Collection[str]) -> Collection[str]:
        """The events among these documents, or stored from another partition or log."""
        ...


class Nothing:
    """No such documents: see Unlogged."""

    def documents(self, partition: int, series: Series) -> Iterable[Mapping[str, Any]]:  # noqa: ARG002
        """See Unlogged."""
        return ()

    def known(self, event_ids: Collection[str]) -> Collection[str]:  # noqa: ARG002
        """See Unlogged."""
        return ()


def outcomes(
    feed: Feed[Any],
    records: Iterable[Record],
    alert_threshold: float,
    unlogged: Unlogged | None = None,
    skipped: Container[tuple[int, int]] = frozenset(),
) -> Iterator[Outcome]:
    """The outcome of each record. Records of one partition come in the order of their offsets.

    `skipped` are the records, by partition and offset, that an operator made dead letters.
    Documents in `unlogged` cannot be checked, and later outcomes depend on them. Memory grows only
    by a digest of each event's id, and not with `unlogged`.
    """
    before = unlogged or Nothing()
    histories: dict[tuple[int, Series], Past] = {}
    seen, contents = Seen(), Seen()
    for batch in _batches(_decoded(feed, records, skipped)):
        taken = [one.event.event_id for _, one in batch if isinstance(one, Taken)]
        known = set(before.known(taken))
        for record, one in batch:
            if isinstance(one, BadRecord):
                yield DeadLetter(record, str(one))
                continue
            event, claimed_at = one
            says_new = contents.add(repr(sorted(said(feed, one).items())))
            if event.event_id in known:
                yield Repeated(record, event.event_id)
                continue
            if not seen.add(event.event_id):
                yield Repeated(record, event.event_id, says_new)
                continue
            series = Series(event.source, event.symbol)
            history = histories.get((record.partition, series))
            if history is None:
                history = _recall(feed, before.documents(record.partition, series))
                histories[record.partition, series] = history
            meta = feed.derive(event, history)
            history.add(event.observed_at, feed.value(event))
            position = {
                "topic": feed.topic,
                "partition": record.partition,
                "offset": record.offset,
                **({"log": record.log} if record.log else {}),
            }
            document = {"_id": event.event_id, **feed.document(event, meta), "kafka": position}
            if claimed_at is not None:
                document[CLAIMED_FIELD] = claimed_at
            try:
                stored = bson.decode(bson.encode(document), AS_STORED)
            except (BSONError, OverflowError, UnicodeEncodeError) as error:
                yield DeadLetter(record, str(error))
                continue
            alert = feed.alert(event, meta, alert_threshold) if feed.alert else None
            yield Stored(stored, alert)


def _decoded(
    feed: Feed[Any], records: Iterable[Record], skipped: Container[tuple[int, int]]
) -> Iterator[tuple[Record, Taken | BadRecord]]:
    take = taker(feed)
    for record in records:
        try:
            if (record.partition, record.offset) in skipped:
                raise BadRecord(SKIPPED, "skipped")
            yield record, take(record)
        except BadRecord as bad:
            yield record, bad


def _batches(entries: Iterator[Any]) -> Iterator[list[Any]]:
    while batch := list(islice(entries, AT_ONCE)):
        yield batch


def _recall(feed: Feed[Any], documents: Iterable[Mapping[str, Any]]) -> Past:
    history = feed.history(feed.window)
    for document in documents:
        history.add(document[TIME_FIELD], feed.value_in(document))
    return history
