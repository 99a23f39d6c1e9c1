"""`millrace archive verify`: the rows of the archive match the log and MongoDB."""

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from functools import partial
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
from kafka.errors import KafkaError
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.table import Table
from pymongo import collection
from pymongo.database import Database
from pymongo.errors import PyMongoError

from millrace.archive import catalog, comparing, events, files, ranges, tables
from millrace.archive.columns import OFFSET, PARTITION
from millrace.archive.comparing import Tally, place
from millrace.archive.events import Archived
from millrace.archive.failures import Kinds
from millrace.archive.offsets import Offsets
from millrace.archive.ranges import Span
from millrace.archive.rows import Rows
from millrace.clients import mongodb, topic_ids
from millrace.clients.topic_ids import FIRST
from millrace.config import Settings
from millrace.errors import MillraceError
from millrace.feeds import FEEDS, Feed
from millrace.feeds.base import position_index
from millrace.runtime.chunks import chunks
from millrace.runtime.retry import wait_for
from millrace.verify.data.compare import Partition, RecordPosition
from millrace.verify.data.log import Log, origin
from millrace.verify.data.stored import wait_for_group

WAIT_SECONDS = 180.0
POLL_SECONDS = 1.0
LIMIT_MILLISECONDS = 25_000
AT_ONCE = 1000
"""Number of events per question, and of records that become rows at once."""
MOST = 10_000
"""Number of rows without a document, and of rows that contradict one, that are looked into."""
Document = Mapping[str, Any]


class ArchiveReport(msgspec.Struct, frozen=True):
    """What was compared, by feed."""

    ok: bool
    waited_seconds: float
    seconds: float
    feeds: dict[str, dict[str, Any]]


def verify(settings: Settings, say: Callable[[str], None]) -> ArchiveReport:
    """Compare each feed's table with Kafka and MongoDB.

    Waits first, until each table of a feed that has records has rows, and until the processor has
    come as far as the tables. Raises Transient, Permanent, Unknown and MillraceError.
    """
    start = time.monotonic()
    feeds = [FEEDS[name] for name in settings.feeds]
    try:
        with ExitStack() as stack:
            client = stack.enter_context(mongodb.client(settings))
            mongodb.check(client)
            # Its partitions name the log by its id, as rows do.
            log = stack.enter_context(Log(settings, lambda _topic, log_id: log_id or FIRST))
            archive = catalog.existing(settings)
            partitions = log.partitions([feed.topic for feed in feeds])
            found = wait_for(
                lambda: {feed.name: _table(archive, settings, feed) for feed in feeds},
                lambda known: all(_has_begun(known[feed.name], feed, partitions) for feed in feeds),
                WAIT_SECONDS,
                POLL_SECONDS,
            )
            offsets = {name: tables.held(table, FEEDS[name]) for name, table in found.items()}
            partitions = log.partitions([feed.topic for feed in feeds])
            wait_for_group(settings, _archived(feeds, partitions, offsets))
            waited = time.monotonic() - start
            tallies = {}
            for feed in feeds:
                own = [p for p in partitions if p.topic == feed.topic]
                database = client[settings.mongodb_database]
                one = _Comparison(settings, feed, found[feed.name], log, database, say)
                tallies[feed.name] = one.run(own, offsets[feed.name])
    except PyMongoError as error:
        raise mongodb.explain(error) or MillraceError(
            f"MongoDB cannot be asked: {mongodb.reason(error)}"
        ) from error
    except KafkaError as error:
        raise MillraceError(f"Kafka cannot be asked: {error!r}") from error
    return report(tallies, waited, time.monotonic() - start)


def report(tallies: Mapping[str, Tally], waited: float, seconds: float) -> ArchiveReport:
    """The report, which is not good if nothing was compared."""
    compared = any(tally.rows for tally in tallies.values())
    wrong = any(tally.differences or tally.problem for tally in tallies.values())
    feeds = {name: asdict(tally) | {"problem": tally.problem} for name, tally in tallies.items()}
    return ArchiveReport(compared and not wrong, round(waited, 1), round(seconds, 1), feeds)


def _table(archive: Catalog, settings: Settings, feed: Feed[Any]) -> Table:
    with Kinds(f"open its table {feed.name}"):
        try:
            return tables.existing(archive, settings, feed)
        except NoSuchTableError:
            raise MillraceError(
                f"the archive has no table {feed.name}: the archiver makes it, if the feed is among"
                " its MILLRACE_FEEDS"
            ) from None


def _has_begun(table: Table, feed: Feed[Any], partitions: Sequence[Partition]) -> bool:
    """Whether a table has rows, or there are no records of which it could have some."""
    records = any(p.end > p.start for p in partitions if p.topic == feed.topic)
    return table.current_snapshot() is not None or not records


def _archived(
    feeds: Sequence[Feed[Any]], partitions: Sequence[Partition], offsets: Mapping[str, Offsets]
) -> list[Partition]:
    """The partitions up to where the tables end."""
    known = {feed.topic: offsets[feed.name] for feed in feeds}
    return [replace(p, end=min(p.end, _next(known[p.topic], p))) for p in partitions]


def _next(known: Offsets, partition: Partition) -> int:
    """Where a table goes on in a partition of the log as it is now."""
    return known.next.get(partition.number, 0) if known.log == partition.log else 0


class _Comparison:
    """Compares a feed's table, a few rows at a time."""

    def __init__(
        self,
        settings: Settings,
        feed: Feed[Any],
        table: Table,
        log: Log,
        database: Database[dict[str, Any]],
        say: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._feed = feed
        self._schema = files.arrow_schema(table)
        self._reader = ranges.Reader(table)
        self._log = log
        self._collection: collection.Collection[dict[str, Any]] = database[feed.collection]
        self._name = partial(topic_ids.name, database, feed.topic)
        self._say = say
        self._reading = Kinds(f"read its table {feed.name}")
        self._tally = Tally()
        self._unstored: dict[RecordPosition, str] = {}
        self._contradicting: dict[Archived, Document] = {}

    def run(self, partitions: Sequence[Partition], offsets: Offsets) -> Tally:
        """Compare what there is of the table with these partitions, and with MongoDB."""
        feed, tally = self._feed, self._tally
        spans = self._spans(partitions, offsets)
        tally.waiting = sum(
            max(0, p.end - max(p.start, _next(offsets, p), _end(spans, p))) for p in partitions
        )
        total, done = sum(one.end - one.start for one in spans), 0
        numbers = {(p.log, p.number): p for p in partitions}
        for window in ranges.windows(spans, ranges.ROWS):
            with self._reading:
                rows = self._reader.read(window)
            for span in window:
                mine = comparing.once(feed, span, _of(rows, span), tally)
                tally.rows += mine.num_rows
                partition = numbers.get((span.log, span.partition))
                named = self._with_kafka(partition, span, mine) if partition else set()
                self._with_mongodb(span, mine, named)
                done += span.end - span.start
            self._say(f"{feed.name}: {done:,} of {total:,} offsets compared")
        for span in spans:
            self._count_older(span)
        self._look_into_unstored()
        self._look_into_contradictions()
        return tally

    def _spans(self, partitions: Sequence[Partition], offsets: Offsets) -> list[Span]:
        """What the table should have of each partition, and of those of former logs what it has."""
        with self._reading:
            found = self._reader.held()
        held = {(one.span.log, one.span.partition): one.span for one in found}
        for p in partitions:
            end = min(p.end, _next(offsets, p))
            if end > p.start:
                own = held.get((p.log, p.number), Span(p.log, p.number, p.start, end))
                held[p.log, p.number] = own._replace(
                    start=min(own.start, p.start), end=max(own.end, end)
                )
        return [*held.values()]

    def _with_kafka(self, partition: Partition, span: Span, rows: pa.Table) -> set[int]:
        """Compare rows with the records that Kafka still has, as the archiver would read them.

        Returns the offsets that differ.
        """
        start, end = max(span.start, partition.start), min(span.end, partition.end)
        if start >= end:
            return set()
        made = Rows(self._feed, self._schema)
        for records in chunks(self._log.read(replace(partition, start=start, end=end)), AT_ONCE):
            self._tally.bad_records += len(made.add(span.log, records))
        records = made.table()
        # Retention may have removed some of them meanwhile.
        now = self._log.partitions([self._feed.topic])
        start = max(start, *(p.start for p in now if p.number == span.partition))
        return comparing.with_records(
            self._feed, span, _from(rows, start, end), _from(records, start, end), self._tally
        )

    def _with_mongodb(self, span: Span, rows: pa.Table, named: Collection[int]) -> None:
        """Compare rows with the documents of their records, and others with those of their ids.

        Differences at offsets that are `named` are named already.
        """
        name = self._name(span.log)
        found = self._collection.find(
            {
                "kafka.log": name or None,  # a document of the first log has none
                "kafka.partition": span.partition,
                "kafka.offset": {"$gte": span.start, "$lt": span.end},
            }
        ).sort(position_index(name))
        pairs = comparing.side_by_side(events.of(self._feed, rows), found)
        for some in chunks(self._without_document(span, pairs, named), AT_ONCE):
            ids = {"_id": {"$in": [row.event.event_id for row in some]}}
            stored = {
                one["_id"]: one
                for one in self._collection.find(ids, max_time_ms=LIMIT_MILLISECONDS)
            }
            for row in some:
                self._elsewhere(name, row, stored.get(row.event.event_id))

    def _without_document(
        self,
        span: Span,
        pairs: Iterator[tuple[Archived | None, Document | None]],
        named: Collection[int],
    ) -> Iterator[Archived]:
        feed, tally = self._feed, self._tally
        for row, found in pairs:
            if row is None and found is not None:
                offset = found["kafka"]["offset"]
                if offset not in named:
                    where = place(feed, span.partition, offset, found["_id"])
                    tally.differs(comparing.LACKS, f"{where}, which is in MongoDB,")
            elif found is None and row is not None:
                if row.offset not in named:
                    yield row
            elif found is not None and row is not None:
                tally.documents += 1
                names = comparing.differing(feed, row, found)
                if names and row.offset not in named:
                    where = place(feed, span.partition, row.offset, row.event.event_id)
                    tally.differs(
                        comparing.OTHER, f"{where} in MongoDB and in the archive ({_list(names)})"
                    )

    def _elsewhere(self, name: str, row: Archived, found: Document | None) -> None:
        """Judge a row whose record has no document by the document of its event."""
        tally, event_id = self._tally, row.event.event_id
        where = place(self._feed, row.partition, row.offset, event_id)
        if found is None:
            position = RecordPosition(self._feed.topic, row.partition, row.offset, name)
            if len(self._unstored) < MOST:
                self._unstored[position] = where
            else:
                tally.differs(comparing.UNSTORED, where)
        elif not comparing.contradicts(self._feed, row, found):
            tally.repeated += 1
        elif _is_before(found, name, row):
            tally.conflicts += 1
        elif len(self._contradicting) < MOST:
            self._contradicting[row] = found
        else:
            tally.differs(comparing.OTHER, f"{where} in MongoDB and in the archive")

    def _look_into_unstored(self) -> None:
        """What has no document may be a dead letter: an operator skipped it, for example."""
        if not self._unstored:
            return
        for partition in self._log.partitions([self._settings.dead_letters_topic]):
            for letter in self._log.read(partition):
                if self._unstored.pop(origin(letter.headers), None):
                    self._tally.dead_letters += 1
        for where in self._unstored.values():
            self._tally.differs(comparing.UNSTORED, where)

    def _look_into_contradictions(self) -> None:
        """MongoDB has the first record of an event: others may say something else."""
        if not self._contradicting:
            return
        ids = {row.event.event_id for row in self._contradicting}
        with self._reading:
            first = self._reader.firsts(ids)
        for row in self._contradicting:
            here = ranges.Position(row.timestamp, row.partition, row.offset, row.log)
            if first[row.event.event_id] < here:
                self._tally.conflicts += 1
                continue
            where = place(self._feed, row.partition, row.offset, row.event.event_id)
            self._tally.differs(comparing.OTHER, f"{where} in MongoDB and in the archive")

    def _count_older(self, span: Span) -> None:
        name = self._name(span.log)
        condition = {
            "kafka.log": name or None,
            "kafka.partition": span.partition,
            "kafka.offset": {"$lt": span.start},
        }
        self._tally.older += self._collection.count_documents(
            condition, hint=position_index(name), maxTimeMS=LIMIT_MILLISECONDS
        )


def _end(spans: Sequence[Span], partition: Partition) -> int:
    here = partition.log, partition.number
    return max((one.end for one in spans if (one.log, one.partition) == here), default=0)


def _of(rows: pa.Table, span: Span) -> pa.Table:
    return rows.filter(pc.equal(rows[PARTITION], span.partition))


def _from(rows: pa.Table, start: int, end: int) -> pa.Table:
    offsets = rows[OFFSET]
    return rows.filter(pc.and_(pc.greater_equal(offsets, start), pc.less(offsets, end)))


def _is_before(found: Document, log: str, row: Archived) -> bool:
    """Whether a document is of an earlier record of the row's partition."""
    at = found["kafka"]
    here = (at.get("log", FIRST), at["partition"]) == (log, row.partition)
    return bool(here and at["offset"] < row.offset)


def _list(names: Sequence[str]) -> str:
    return ", ".join(names)
