"""The rows of a feed that are in memory: records become columns, a few thousand at a time."""

from collections.abc import Sequence
from operator import attrgetter
from typing import Any, NamedTuple

import pyarrow as pa

from millrace.archive import columns
from millrace.feeds.base import Feed
from millrace.processor.batch import Record
from millrace.processor.decode import taker
from millrace.processor.errors import BadRecord

CHUNK = 4096
"""Rows that become columns at once: small chunks would take more memory than their rows."""
ROW_BYTES = 1000
"""Of a row that is not yet in a column, about."""
OTHERS = (
    columns.CLAIMED_AT,
    columns.LOG,
    columns.PARTITION,
    columns.OFFSET,
    columns.TIMESTAMP,
)
"""The columns that differ from row to row, and are not the event's."""


class Bad(NamedTuple):
    """A record that the processor would not store either."""

    record: Record
    error: BadRecord


class Rows:
    """Rows in memory, in the order of their records."""

    def __init__(self, feed: Feed[Any], schema: pa.Schema) -> None:
        """`schema` is that of the table, which may have columns that events lack."""
        self._schema = schema
        self._topic = feed.topic
        self._take = taker(feed)
        self._names = [column.name for column in columns.of_event(feed)]
        self.clear()

    def clear(self) -> None:
        """Forget all rows."""
        self._chunks: list[pa.RecordBatch] = []
        self._chunk_rows = self._chunk_bytes = 0
        self._events: list[Any] = []
        self._others: dict[str, list[Any]] = {name: [] for name in OTHERS}

    def __len__(self) -> int:
        return self._chunk_rows + len(self._events)

    @property
    def bytes(self) -> int:
        """Their memory, about."""
        return self._chunk_bytes + len(self._events) * ROW_BYTES

    def add(self, log: str, records: Sequence[Record]) -> list[Bad]:
        """Add the rows of records of a log; return the bad ones, which have none."""
        bad: list[Bad] = []
        take, events = self._take, self._events
        claims, logs, partitions, offsets, timestamps = self._others.values()
        for record in records:
            try:
                event, claimed_at = take(record)
            except BadRecord as error:
                bad.append(Bad(record, error))
                continue
            events.append(event)
            claims.append(claimed_at)
            partitions.append(record.partition)
            offsets.append(record.offset)
            timestamps.append(record.timestamp * 1000)
        logs += [log] * (len(records) - len(bad))
        if len(events) >= CHUNK:
            self._settle()
        return bad

    def table(self) -> pa.Table:
        """All rows; they are not kept here."""
        self._settle()
        made = pa.Table.from_batches(self._chunks, self._schema)
        self.clear()
        return made

    def _settle(self) -> None:
        if not self._events:
            return
        count = len(self._events)
        # A column at a time: rows of values would be as many objects for the garbage collector.
        found = {name: [*map(attrgetter(name), self._events)] for name in self._names}
        found |= self._others
        arrays = []
        for field in self._schema:
            if field.name == columns.TOPIC:
                arrays.append(pa.repeat(pa.scalar(self._topic, field.type), count))
            elif field.name in found:
                arrays.append(pa.array(found[field.name], field.type))
            else:
                arrays.append(pa.nulls(count, field.type))
        chunk = pa.RecordBatch.from_arrays(arrays, schema=self._schema)
        self._chunks.append(chunk)
        self._chunk_rows += count
        self._chunk_bytes += chunk.nbytes
        self._events = []
        self._others = {name: [] for name in OTHERS}
