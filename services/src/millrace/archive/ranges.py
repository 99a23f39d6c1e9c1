"""Ranges of the log, and the rows that a table has of them: a bounded number in memory."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime
from functools import reduce
from itertools import groupby
from operator import attrgetter
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.expressions import AlwaysTrue
from pyiceberg.io.pyarrow import ArrowScan
from pyiceberg.table import FileScanTask, Table

from millrace.archive import files
from millrace.archive.columns import EVENT_ID, LOG, OBSERVED_AT, OFFSET, PARTITION, TIMESTAMP

ROWS = 50_000
"""In memory at once, about."""
JOINED = 500
"""Batches that are joined to one at most."""


class Span(NamedTuple):
    """Offsets of a partition of a log, without the end."""

    log: str
    partition: int
    start: int
    end: int


class Held(NamedTuple):
    """Where the rows of a partition of a log begin and end, and when the first was taken."""

    span: Span
    rows: int
    since: datetime


class Position(NamedTuple):
    """Where a row is in the order in which an event's first row is found."""

    timestamp: datetime
    partition: int
    offset: int
    log: str


def windows(spans: Iterable[Span], size: int) -> Iterator[list[Span]]:
    """Parts of spans, log by log, that have so many offsets together, or a few more.

    A part has the same share of each partition: files of a day have rows of all of them.
    """
    for _, own in groupby(spans, key=attrgetter("log")):
        these = [*own]
        count = -(-sum(one.end - one.start for one in these) // size)
        for n in range(count):
            yield [part for one in these if (part := _share(one, n, count)).start < part.end]


def _share(span: Span, n: int, count: int) -> Span:
    width = span.end - span.start
    return span._replace(
        start=span.start + width * n // count, end=span.start + width * (n + 1) // count
    )


class Reader:
    """Reads a table as it was when this was made. Each method raises the libraries' errors."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._schema = files.arrow_schema(table)
        self._kept: list[pa.RecordBatch] | None = None

    def held(self) -> list[Held]:
        """What the table has of each partition of each log, in the order in which logs began."""
        keys = [LOG, PARTITION]
        found: dict[tuple[str, int], Held] = {}
        wanted = [(OFFSET, "count"), (OFFSET, "min"), (OFFSET, "max"), (TIMESTAMP, "min")]
        for batch in self._batches(None, (*keys, OFFSET, TIMESTAMP)):
            parts = pa.Table.from_batches([batch]).group_by(keys).aggregate(wanted)
            for part in parts.select([*keys, *("_".join(one) for one in wanted)]).to_pylist():
                log, number, rows, first, last, since = part.values()
                before = found.get((log, number), Held(Span(log, number, first, 0), 0, since))
                start, end = min(first, before.span.start), max(last + 1, before.span.end)
                found[log, number] = Held(
                    Span(log, number, start, end), rows + before.rows, min(since, before.since)
                )
        begun: dict[str, datetime] = {}
        for one in found.values():
            begun[one.span.log] = min(one.since, begun.get(one.span.log, one.since))
        return sorted(found.values(), key=lambda one: (begun[one.span.log], one.span))

    def read(
        self, spans: Sequence[Span], first: date | None = None, end: date | None = None
    ) -> pa.Table:
        """The rows of spans of a log in its order; of days from `first`, before `end`."""
        condition = f"({' or '.join(map(_condition, spans))})"
        for sign, day in ((">=", first), ("<", end)):
            if day is not None:
                condition += f" and {OBSERVED_AT} {sign} '{day.isoformat()}T00:00:00+00:00'"
        pieces = []
        for batch in self._batches(condition):
            mask = reduce(pc.or_, (_mask(batch, one) for one in spans))
            days = pc.cast(batch[OBSERVED_AT], pa.date32())
            if first is not None:
                mask = pc.and_(mask, pc.greater_equal(days, pa.scalar(first)))
            if end is not None:
                mask = pc.and_(mask, pc.less(days, pa.scalar(end)))
            pieces.append(batch.filter(mask))
        rows = pa.Table.from_batches(pieces, self._schema)
        return rows.sort_by([(name, "ascending") for name in (PARTITION, OFFSET)])

    def firsts(self, event_ids: Iterable[str]) -> dict[str, Position]:
        """The first row of each of these events, which MongoDB has once it has come to it."""
        wanted = pa.array(sorted(event_ids), pa.string())
        found: dict[str, Position] = {}
        order = (EVENT_ID, TIMESTAMP, PARTITION, OFFSET, LOG)
        for batch in self._batches(None, order):
            mine = batch.filter(pc.is_in(batch[EVENT_ID], wanted)).select(order)
            columns = (column.to_pylist() for column in mine.columns)
            for event_id, *rest in zip(*columns, strict=True):
                here = Position(*rest)
                found[event_id] = min(here, found.get(event_id, here))
        return found

    def _batches(
        self, condition: str | None, names: Sequence[str] | None = None
    ) -> Iterator[pa.RecordBatch]:
        """The rows of all files that may have some of a condition, with these columns at least.

        A small table is read once: opening its files takes longer than their rows.
        """
        if self._kept is not None:
            yield from self._kept
            return
        tasks = [*self._table.scan(row_filter=condition or AlwaysTrue()).plan_files()]
        if condition is None and sum(task.file.record_count for task in tasks) <= ROWS:
            self._kept = [*_joined(self._rows(tasks, None))]
            yield from self._kept
            return
        yield from _joined(self._rows(tasks, names))

    def _rows(
        self, tasks: Iterable[FileScanTask], names: Sequence[str] | None
    ) -> Iterator[pa.RecordBatch]:
        for task in tasks:
            if not task.delete_files:
                yield from files.read(self._table, task.file.file_path, names)
                continue
            # Another program has deleted some of its rows.
            fields = tuple(names or self._schema.names)
            projection = self._table.scan(selected_fields=fields).projection()
            scan = ArrowScan(self._table.metadata, self._table.io, projection, AlwaysTrue())
            yield from scan.to_table([task]).to_batches()


def _joined(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The rows of batches in larger ones: each has a cost of its own."""
    held: list[pa.RecordBatch] = []
    for batch in batches:
        held.append(batch)
        if sum(one.num_rows for one in held) >= ROWS or len(held) >= JOINED:
            yield from pa.Table.from_batches(held).combine_chunks().to_batches()
            held = []
    if held:
        yield from pa.Table.from_batches(held).combine_chunks().to_batches()


def _condition(span: Span) -> str:
    log = "'" + span.log.replace("'", "''") + "'"
    offsets = f"{OFFSET} >= {span.start} and {OFFSET} < {span.end}"
    return f"({LOG} = {log} and {PARTITION} = {span.partition} and {offsets})"


def _mask(batch: pa.RecordBatch, span: Span) -> Any:
    own = pc.and_(pc.equal(batch[LOG], span.log), pc.equal(batch[PARTITION], span.partition))
    offsets = batch[OFFSET]
    return pc.and_(own, pc.and_(pc.greater_equal(offsets, span.start), pc.less(offsets, span.end)))
