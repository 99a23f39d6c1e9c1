"""A feed on its way from the log to its table: rows in memory, and when they are written."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import structlog
from pyiceberg.catalog import Catalog

from millrace.archive import files, maintenance
from millrace.archive.failures import Kinds
from millrace.archive.metrics import Metrics
from millrace.archive.rows import Rows
from millrace.archive.tables import FeedTable
from millrace.clients.progress import Partition
from millrace.config import Settings
from millrace.feeds.base import Feed
from millrace.processor import backoff
from millrace.processor.batch import Record
from millrace.processor.errors import Transient, Unknown
from millrace.runtime.redaction import shown

log = structlog.get_logger(__name__)

FIRST_SECONDS = 5.0
"""Of a table without rows: whether it can be written is seen soon."""
MAINTENANCE_LOOK_SECONDS = 60.0
MAINTENANCE_RETRY_SECONDS = 3600.0


class Stream:
    """What is between a topic and a table.

    After an error its rows are forgotten and read again, when the table answers: memory is free for
    other feeds, and where to go on is what the table says.
    """

    def __init__(
        self,
        settings: Settings,
        catalog: Catalog,
        feed: Feed[Any],
        metrics: Metrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Open the table, or create it. Raises as FeedTable."""
        self.feed = feed
        self.table = FeedTable(catalog, settings, feed)
        self._settings = settings
        self._metrics = metrics
        self._clock = clock
        self._rows = Rows(feed, files.arrow_schema(self.table.table))
        self.next = self.table.offsets
        """The next offsets to read: behind the rows in memory."""
        self._oldest_at: float | None = None
        self._failures = 0
        self._again_at: float | None = None
        self._maintain_at = 0.0
        self.trouble: str | None = None

    @property
    def bytes(self) -> int:
        """The memory of its rows."""
        return self._rows.bytes

    @property
    def age(self) -> float:
        """Seconds since the oldest record that is not in the table was read; 0 if there is none."""
        return 0.0 if self._oldest_at is None else self._clock() - self._oldest_at

    @property
    def rests(self) -> bool:
        """Whether it is not read, after an error."""
        return self._again_at is not None

    def take(self, log_id: str, partition: Partition, records: Sequence[Record]) -> None:
        """Add records, which follow those before."""
        bad = self._rows.add(log_id, records)
        if self._oldest_at is None:
            self._oldest_at = self._clock()
        self.next = self.next.moved(log_id, partition[1], records[-1].offset + 1)
        self._metrics.consumed.labels(self.feed.name).inc(len(records))
        if bad:
            self._metrics.bad.labels(self.feed.name).inc(len(bad))
            first = bad[0]
            log.warning(
                "bad records are not archived",
                topic=self.feed.topic,
                partition=first.record.partition,
                offset=first.record.offset,
                records=len(bad),
                reason=shown(f"{first.error}"),
            )
        self.show()

    def is_due(self) -> bool:
        """Whether its rows are to be written by their number or age."""
        age = self._settings.archive_flush_seconds
        if self.table.table.current_snapshot() is None:
            age = min(age, FIRST_SECONDS)
        return len(self._rows) >= self._settings.archive_flush_rows or self.age >= age

    def flush(self, beat: Callable[[], None]) -> bool:
        """Write its rows, with their offsets; False if there is nothing new. Raises as FeedTable.

        If it raises, what was read is to be read again: see `fail`.
        """
        if self._oldest_at is None:
            return False
        start, count, moved = self._clock(), len(self._rows), self.next
        with Kinds(f"write rows of {self.feed.name}"):
            written = files.write(self.table.table, self._rows.table(), beat=beat)
        self.table.append(written, moved)
        self._oldest_at, self._failures, self.trouble = None, 0, None
        size = sum(file.file_size_in_bytes for file in written)
        name, metrics = self.feed.name, self._metrics
        metrics.rows.labels(name).inc(count)
        metrics.bytes.labels(name).inc(size)
        metrics.commits.labels(name).inc()
        metrics.flush_seconds.observe(self._clock() - start)
        self.show()
        log.info("archived", feed=name, rows=count, files=len(written), bytes=size)
        return True

    def fail(self, error: Exception) -> None:
        """Rest after an error, without rows, until `try_again`."""
        pause = backoff.seconds(self._failures, self._settings.archive_retry_seconds)
        self._failures += 1
        self._again_at = self._clock() + pause
        self.trouble = f"{self.feed.name}: {error}"
        self._rows.clear()
        self._oldest_at, self.next = None, self.table.offsets
        self._metrics.failures.labels(self.feed.name).inc()
        self.show()
        log.warning("trying again", feed=self.feed.name, reason=str(error), seconds=round(pause, 1))

    def try_again(self) -> bool:
        """Whether it is read again now, from the table's offsets. Raises as FeedTable.reload."""
        if self._again_at is None or self._clock() < self._again_at:
            return False
        self.table.reload()
        self.next, self._again_at = self.table.offsets, None
        return True

    def is_maintenance_due(self) -> bool:
        """Whether it is time to maintain the table."""
        if self.rests or self._clock() < self._maintain_at:
            return False
        self._maintain_at = self._clock() + MAINTENANCE_LOOK_SECONDS
        return maintenance.is_due(self.table, self._settings, time.time())

    def maintain(self, beat: Callable[[], None]) -> None:
        """Maintain the table; after an error that may pass it is tried later. Raises Permanent."""
        name, metrics = self.feed.name, self._metrics
        try:
            report = maintenance.maintain(self.table, self._settings, beat)
        except (Transient, Unknown) as error:
            metrics.failures.labels(name).inc()
            self._maintain_at = self._clock() + MAINTENANCE_RETRY_SECONDS
            log.warning("not maintained", feed=name, reason=str(error))
            return
        metrics.combined.labels(name).inc(report.files_combined)
        metrics.expired.labels(name).inc(report.snapshots_expired)
        metrics.removed.labels(name).inc(report.files_removed)
        metrics.periods_failed.labels(name).inc(report.periods_failed)
        metrics.maintained.labels(name).set_to_current_time()

    def show(self) -> None:
        """Set the gauges."""
        name = self.feed.name
        self._metrics.waiting_rows.labels(name).set(len(self._rows))
        self._metrics.waiting_bytes.labels(name).set(self.bytes)
        self._metrics.oldest_seconds.labels(name).set(self.age)
