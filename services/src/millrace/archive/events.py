"""The events of rows: what was in the records that they were made of."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
import pyarrow as pa

from millrace.archive import columns
from millrace.feeds.base import Feed

AT_ONCE = 1000


class Archived(NamedTuple):
    """An event as a row has it, and where its record is in the log."""

    event: Any
    claimed_at: datetime | None
    """The event's own time, if it was not believed."""
    log: str
    partition: int
    offset: int
    timestamp: datetime

    @property
    def sent(self) -> Any:
        """The event as it was sent."""
        if self.claimed_at is None:
            return self.event
        return msgspec.structs.replace(self.event, observed_at=self.claimed_at)


def of(feed: Feed[Any], rows: pa.Table) -> Iterator[Archived]:
    """The events of rows, in their order."""
    there = {*rows.schema.names}
    own = [column.name for column in columns.of_event(feed) if column.name in there]
    others = (
        columns.CLAIMED_AT,
        columns.LOG,
        columns.PARTITION,
        columns.OFFSET,
        columns.TIMESTAMP,
    )
    count = len(own)
    for batch in rows.select([*own, *others]).to_batches(max_chunksize=AT_ONCE):
        for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            event = feed.event_type(**dict(zip(own, row[:count], strict=True)))
            yield Archived(event, *row[count:])
