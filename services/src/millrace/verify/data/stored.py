"""`millrace verify data`: all stored documents match the log, and the log's source."""

import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict
from datetime import timedelta
from functools import partial
from itertools import tee
from typing import Any

import msgspec
from pymongo.collection import Collection
from pymongo.database import Database

from millrace.clients import kafka, lag, mongodb, redis, topic_ids
from millrace.clients.progress import named
from millrace.clients.topic_ids import FIRST
from millrace.config import Settings
from millrace.errors import MillraceError
from millrace.events import Alert
from millrace.feeds import FEEDS, Feed
from millrace.feeds.base import position_index
from millrace.runtime.retry import wait_for
from millrace.verify.data import alerts, cached, compare, history
from millrace.verify.data.compare import Document, Letters, Partition, Tally
from millrace.verify.data.log import Log
from millrace.verify.data.oracle import Outcome, Record, Stored, outcomes
from millrace.verify.data.unlogged import Unlogged, former_documents

WAIT_SECONDS = 180.0
POLL_SECONDS = 0.5
LIMIT_MILLISECONDS = 25_000
LETTERS = "dead letters"


class DataReport(msgspec.Struct, frozen=True):
    """What was compared, by feed and source."""

    ok: bool
    waited_seconds: float
    seconds: float
    parts: dict[str, dict[str, Any]]


def verify(settings: Settings) -> DataReport:
    """Wait until the current log is processed, then compare."""
    start = time.monotonic()
    feeds = [FEEDS[name] for name in settings.feeds]
    with ExitStack() as stack:
        client = stack.enter_context(mongodb.client(settings))
        database = client[settings.mongodb_database]
        log = stack.enter_context(Log(settings, partial(topic_ids.name, database)))
        mongodb.check(client)
        replayed = history.wait(settings, WAIT_SECONDS)
        partitions = log.partitions([feed.topic for feed in feeds])
        wait_for_group(settings, partitions)
        waited = time.monotonic() - start
        letters = log.letters(settings.dead_letters_topic)
        parts = {}
        for feed in feeds:
            own = [p for p in partitions if p.topic == feed.topic]
            collection = database[feed.collection]
            parts[feed.name] = _feed(feed, own, log, collection, letters, settings)
        parts[LETTERS] = _foreign_letters(letters, [feed.topic for feed in feeds])
        if replayed is not None or history.is_replayed(database):
            parts[history.NAME] = history.compare(database, settings, replayed)
        parts |= _latest_values(feeds, database, settings)
    return DataReport(
        ok=all(part.differences == 0 for part in parts.values()),
        waited_seconds=round(waited, 1),
        seconds=round(time.monotonic() - start, 1),
        parts={name: asdict(part) for name, part in parts.items()},
    )


def _latest_values(
    feeds: Sequence[Feed[Any]], database: Database[dict[str, Any]], settings: Settings
) -> dict[str, Tally]:
    feed = next((feed for feed in feeds if feed.is_cached), None)
    if feed is None or not settings.redis_host:
        return {}
    ttl = timedelta(seconds=settings.redis_ttl_seconds)
    with closing(redis.client(settings)) as client:
        redis.check(client)
        return {cached.NAME: cached.compare(feed, database[feed.collection], client, ttl)}


def wait_for_group(settings: Settings, partitions: Sequence[Partition]) -> None:
    """Wait until the processor has committed up to the ends of these partitions."""
    ends = {(p.topic, p.number): p.end for p in partitions}

    def left(client: Any) -> dict[lag.PartitionLag, int]:
        found = lag.read(client, settings.processor_group_id, {p.topic for p in partitions})
        # Partitions that were added since are not waited for.
        return {p: max(0, ends.get((p.topic, p.partition), 0) - (p.end - p.lag)) for p in found}

    with closing(kafka.admin(settings)) as client:
        found = wait_for(
            partial(left, client), lambda one: not any(one.values()), WAIT_SECONDS, POLL_SECONDS
        )
    if behind := sum(found.values()):
        waiting = [(p.topic, p.partition) for p, records in found.items() if records]
        unread = [(p.topic, p.partition) for p in found if not p.held]
        raise MillraceError(
            f"the processor is {behind} records behind after {WAIT_SECONDS:.0f} s:"
            f" {named(waiting)}" + (f"; nobody reads {named(unread)}" if unread else "")
        )


def _feed(
    feed: Feed[Any],
    partitions: Sequence[Partition],
    log: Log,
    collection: Collection[dict[str, Any]],
    letters: Letters,
    settings: Settings,
) -> Tally:
    tally = Tally(former=_former(feed, partitions, collection, letters))
    topic = log.partitions([feed.alert_topic]) if feed.alert_topic else []
    raised = alerts.decode((record.value for p in topic for record in log.read(p)), tally)
    thresholds = {settings.stock_alert_threshold, *(alert.threshold for alert in raised)}
    expected: dict[float, dict[str, Alert]] = {threshold: {} for threshold in thresholds}

    skipped = {p.number: _skipped(letters, collection, p) for p in partitions}

    def outcomes_of(partition: Partition, threshold: float) -> Iterator[tuple[Record, Outcome]]:
        unlogged = Unlogged(feed, collection, partition)
        records, again = tee(_records(log, partition))
        found = outcomes(feed, again, threshold, unlogged, skipped[partition.number])
        return zip(records, _noting_alerts(found, expected[threshold]), strict=True)

    def place_of(event_id: str) -> dict[str, Any] | None:
        document = collection.find_one(
            {"_id": event_id}, {"kafka": 1}, max_time_ms=LIMIT_MILLISECONDS
        )
        return document["kafka"] if document else None

    highest = max(thresholds)
    for partition in partitions:
        if partition.start:
            tally.trimmed += Unlogged(feed, collection, partition).count()
        compare.compare(
            partition,
            outcomes_of(partition, highest),
            _documents(collection, partition),
            letters,
            lambda event_id: place_of(event_id) is not None,
            tally,
        )
        for threshold in thresholds - {highest}:
            deque(outcomes_of(partition, threshold), maxlen=0)

    bounds = {p.number: p for p in partitions}

    def is_outside(cause: str) -> bool:
        place = place_of(cause)
        if place is None:
            return False
        partition = bounds.get(place["partition"])
        if partition is None or place.get("log", FIRST) != partition.log:
            return True  # of a former log
        return not partition.start <= place["offset"] < partition.end

    complete = all(p.start == 0 for p in topic)
    alerts.compare(expected, raised, is_outside, complete=complete, tally=tally)
    return tally


def _former(
    feed: Feed[Any],
    partitions: Sequence[Partition],
    collection: Collection[dict[str, Any]],
    letters: Letters,
) -> int:
    """Number of documents and dead letters of former logs; the letters are removed."""
    now = {partition.log for partition in partitions}
    gone = [place for place in letters if place.topic == feed.topic and place.log not in now]
    former = sum(len(letters.pop(place)) for place in gone)
    return former + sum(former_documents(collection, log) for log in now - {FIRST})


def _records(log: Log, partition: Partition) -> Iterator[Record]:
    for record in log.read(partition):
        yield Record(
            partition.number,
            record.offset,
            record.key,
            record.value,
            record.timestamp,
            record.timestamp_type,
            partition.log,
        )


def _documents(collection: Collection[dict[str, Any]], partition: Partition) -> Iterator[Document]:
    """The documents of records that the log still has, and of newer ones, in order."""
    condition = {
        **topic_ids.within(partition.log),
        "kafka.partition": partition.number,
        "kafka.offset": {"$gte": partition.start},
    }
    return iter(collection.find(condition).sort(position_index(partition.log)))


def _noting_alerts(found: Iterator[Outcome], expected: dict[str, Alert]) -> Iterator[Outcome]:
    for outcome in found:
        if isinstance(outcome, Stored) and outcome.alert is not None:
            expected[outcome.alert.event_id] = outcome.alert
        yield outcome


def _skipped(
    letters: Letters, collection: Collection[dict[str, Any]], partition: Partition
) -> set[tuple[int, int]]:
    """The offsets of a partition that operators skipped, and that were not stored later."""
    offsets = {
        place.offset
        for place, copies in letters.items()
        if place == partition.place(place.offset) and any(copy.skipped for copy in copies)
    }
    if offsets:
        condition = {
            **topic_ids.within(partition.log),
            "kafka.partition": partition.number,
            "kafka.offset": {"$in": sorted(offsets)},
        }
        stored = collection.find(condition, {"kafka.offset": 1}, max_time_ms=LIMIT_MILLISECONDS)
        offsets -= {document["kafka"]["offset"] for document in stored}
    return {(partition.number, offset) for offset in offsets}


def _foreign_letters(letters: Letters, topics: Sequence[str]) -> Tally:
    """Remaining dead letters belong to newer records, or to none."""
    tally = Tally()
    for place in sorted(letters):
        if place.topic not in topics:
            tally.differs(f"{place}: a dead letter from a topic that is no feed's")
    return tally
