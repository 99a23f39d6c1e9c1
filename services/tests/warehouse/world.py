"""An archive in a folder, and the warehouse that is built of it."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import msgspec
from services.tests.archive.world import LOG_APPEND_TIME, settings_in
from services.tests.processor.world import Record

from millrace.archive import catalog, files
from millrace.archive.rows import Rows
from millrace.archive.tables import FeedTable
from millrace.config import Settings
from millrace.events import Event
from millrace.feeds import FEEDS

LOG = "log"
Arrival = tuple[Event, int, datetime]
"""An event, its partition, and when Kafka took it."""


def settings_of(folder: Path, **changes: Any) -> Settings:
    """Settings of an archive and a warehouse in a folder."""
    return settings_in(folder, warehouse_file=folder / "millrace.duckdb", **changes)


def arrived(
    events: Iterable[Event], *, delay: float = 0.5, partition: int | None = None
) -> list[Arrival]:
    """Events that arrived so many seconds after they were observed, a symbol in one partition."""
    return [
        (
            event,
            sum(event.symbol.encode()) % 3 if partition is None else partition,
            event.observed_at + timedelta(seconds=delay),
        )
        for event in events
    ]


class Archive:
    """Tables of the archive, to which a test appends what an archiver would."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.catalog = catalog.opened(settings)
        self.offsets: dict[tuple[str, str, int], int] = {}

    def append(self, feed: str, arrivals: Sequence[Arrival], log: str = LOG) -> None:
        """Commit records of a feed."""
        table = FeedTable(self.catalog, self.settings, FEEDS[feed])
        rows = Rows(FEEDS[feed], files.arrow_schema(table.table))
        moved = table.offsets
        for event, partition, at in arrivals:
            offset = self.offsets.get((feed, log, partition), 0)
            self.offsets[feed, log, partition] = offset + 1
            value = msgspec.json.encode(event)
            milliseconds = int(at.timestamp() * 1000)
            record = Record(
                FEEDS[feed].topic, partition, offset, None, value, (), milliseconds, LOG_APPEND_TIME
            )
            assert rows.add(log, [record]) == []
            moved = moved.moved(log, partition, offset + 1)
        table.append(files.write(table.table, rows.table()), moved)


def rows_of(database: Path, query: str) -> list[dict[str, Any]]:
    """The rows of a query, by column."""
    with duckdb.connect(database, read_only=True) as connection:
        found = connection.execute(query)
        names = [column[0] for column in found.description or []]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]
