"""`millrace archive replay`: what the archive has and MongoDB lacks is published again.

An event keeps its id, its key and its partition, and events of a partition keep their order, so
that the processor stores the same documents with the same derived values.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from datetime import date
from itertools import groupby
from operator import attrgetter
from typing import Any

import msgspec
from kafka.errors import KafkaError, TopicAuthorizationFailedError
from pymongo.collection import Collection
from pymongo.errors import PyMongoError

from millrace.archive import catalog, events, ranges, tables
from millrace.archive.events import Archived
from millrace.archive.failures import Kinds
from millrace.clients import kafka, mongodb
from millrace.config import Settings
from millrace.errors import MillraceError
from millrace.feeds import FEEDS, Feed
from millrace.processor.decode import decoder
from millrace.processor.errors import BadRecord, Unknown
from millrace.runtime.chunks import chunks
from millrace.verify.data.seen import Seen

AT_ONCE = 1000
"""Number of events that are asked for in MongoDB, and then sent and waited for."""
LIMIT_MILLISECONDS = 25_000
ANSWER_SECONDS = 90
"""Longer than the client's own delivery timeout."""


class Range(msgspec.Struct, frozen=True):
    """What is replayed: events of feeds, of days from `first` and before `end`."""

    feeds: Sequence[str]
    first: date | None = None
    end: date | None = None


class Replayed(msgspec.Struct):
    """What became of a feed's rows."""

    feed: str
    rows: int = 0
    """Rows in the range."""
    repeated: int = 0
    """Rows of events that came before."""
    stored: int = 0
    """Events that MongoDB has."""
    sent: int = 0
    """Events that were sent, or would be."""


def replay(
    settings: Settings,
    wanted: Range,
    say: Callable[[str], None],
    *,
    per_second: float,
    check: bool,
) -> list[Replayed]:
    """Publish a range, at most so many events a second; with `check` only count it.

    Whatever is not right is found before the first event is sent, but for files that cannot be
    read. It can be interrupted anywhere and be run again. Raises Transient, Permanent, Unknown and
    MillraceError.
    """
    feeds = [FEEDS[name] for name in wanted.feeds]
    archive = catalog.existing(settings)
    sources = []
    for feed in feeds:
        with Kinds(f"read its table {feed.name}"):
            reader = ranges.Reader(tables.existing(archive, settings, feed))
            sources.append((feed, reader, reader.held()))
    try:
        with ExitStack() as stack:
            client = stack.enter_context(mongodb.client(settings))
            mongodb.check(client)
            kafka.check_credentials(settings)
            producer = stack.enter_context(closing(kafka.producer(settings)))
            for feed, _, held in sources:
                _check_partitions(producer, feed, held)
            database = client[settings.mongodb_database]
            sender = _Sender(producer, per_second)
            return [
                _Feed(feed, reader, held, database[feed.collection]).replay(
                    wanted, say, None if check else sender
                )
                for feed, reader, held in sources
            ]
    except TopicAuthorizationFailedError as error:
        raise MillraceError(f"Kafka does not let this user write to {error}") from error
    except KafkaError as error:
        raise MillraceError(
            f"Kafka has not acknowledged everything: {error!r}; run it again"
        ) from error
    except PyMongoError as error:
        raise mongodb.explain(error) or MillraceError(
            f"MongoDB cannot be asked: {mongodb.reason(error)}"
        ) from error


def _check_partitions(producer: Any, feed: Feed[Any], held: Sequence[ranges.Held]) -> None:
    """A partition keeps its number, so there must be as many."""
    there = producer.partitions_for(feed.topic)
    if wrong := sorted({one.span.partition for one in held} - set(there)):
        raise MillraceError(
            f"the topic {feed.topic} has {len(there)} partitions, and the archive has rows of its"
            f" partition {wrong[-1]}: add partitions first"
        )


class _Sender:
    """Sends events, some at once, not faster than it may."""

    def __init__(self, producer: Any, per_second: float) -> None:
        self._producer = producer
        self._per_second = per_second
        self._free_at = time.monotonic()

    def send(self, feed: Feed[Any], rows: Sequence[Archived]) -> None:
        """Return when all are acknowledged. Raises KafkaError."""
        time.sleep(max(0.0, self._free_at - time.monotonic()))
        self._free_at = time.monotonic() + len(rows) / self._per_second
        futures = [
            self._producer.send(
                feed.topic,
                key=row.event.symbol.encode(),
                value=_encoded(feed, row),
                partition=row.partition,
            )
            for row in rows
        ]
        for future in futures:
            future.get(timeout=ANSWER_SECONDS)


def _encoded(feed: Feed[Any], row: Archived) -> bytes:
    """The value of a row's record. Raises Unknown if the processor would not take it."""
    value = msgspec.json.encode(row.sent)
    try:
        decoder(feed)(value)
    except BadRecord as error:
        where = f"{feed.topic}[{row.partition}]@{row.offset} {row.event.event_id}"
        raise Unknown(f"the archive's row of {where} is no event: {error}") from None
    return value


class _Feed:
    """Replays a feed's table, a few rows at a time."""

    def __init__(
        self,
        feed: Feed[Any],
        reader: ranges.Reader,
        held: Sequence[ranges.Held],
        collection: Collection[dict[str, Any]],
    ) -> None:
        self._feed = feed
        self._reader = reader
        self._held = held
        self._collection = collection
        self._done = Replayed(feed.name)
        # Of two ids one might be taken for the other, once in a hundred thousand replays of ten
        # million events. The next replay has other digests, and sends what MongoDB lacks.
        self._seen = Seen()

    def replay(self, wanted: Range, say: Callable[[str], None], sender: _Sender | None) -> Replayed:
        """Send what MongoDB lacks, or only count it."""
        total = sum(one.rows for one in self._held)
        for rows in self._windows(wanted):
            for some in chunks(events.of(self._feed, rows), AT_ONCE):
                missing = self._missing(some)
                if sender:
                    sender.send(self._feed, missing)
                done = self._done
                done.sent += len(missing)
                say(f"{done.feed}: {done.rows:,} of {total:,} rows read, {done.sent:,} sent")
        return self._done

    def _windows(self, wanted: Range) -> Iterator[Any]:
        """The rows in the order in which Kafka had them, log by log."""
        for _, logs in groupby(self._held, key=attrgetter("span.log")):
            for window in ranges.windows([one.span for one in logs], ranges.ROWS):
                with Kinds(f"read its table {self._feed.name}"):
                    yield self._reader.read(window, wanted.first, wanted.end)

    def _missing(self, rows: Sequence[Archived]) -> list[Archived]:
        """Those of events that come first here, and that MongoDB lacks."""
        self._done.rows += len(rows)
        new = [row for row in rows if self._seen.add(row.event.event_id)]
        self._done.repeated += len(rows) - len(new)
        ids = {"_id": {"$in": [row.event.event_id for row in new]}}
        found = self._collection.find(ids, {"_id": 1}, max_time_ms=LIMIT_MILLISECONDS)
        known = {document["_id"] for document in found}
        self._done.stored += len(known)
        return [row for row in new if row.event.event_id not in known]
