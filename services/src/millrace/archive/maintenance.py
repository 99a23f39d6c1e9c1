"""Keeps a table small and quick to read: fewer files, no old snapshots, nothing left over."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

import msgspec
import structlog
from pyiceberg.exceptions import CommitFailedException

from millrace.archive import catalog, compaction, orphans
from millrace.archive.failures import Kinds
from millrace.archive.tables import MAINTAINED, FeedTable
from millrace.config import Settings
from millrace.feeds import FEEDS
from millrace.processor.errors import Transient

log = structlog.get_logger(__name__)


class Report(msgspec.Struct, frozen=True):
    """What a maintenance did to a table."""

    feed: str
    files_combined: int
    files_made: int
    periods_failed: int
    snapshots_expired: int
    files_removed: int


def is_due(own: FeedTable, settings: Settings, now: float) -> bool:
    """Whether the table's last maintenance was long enough ago."""
    found = own.table.properties.get(MAINTAINED, "")
    last = int(found) if found.isdecimal() else 0
    return abs(now - last) >= settings.archive_maintain_seconds


def maintain(
    own: FeedTable,
    settings: Settings,
    beat: Callable[[], None] = lambda: None,
    clock: Callable[[], float] = time.time,
) -> Report:
    """Combine files, expire snapshots and remove what is left over. Raises as FeedTable.

    It can be interrupted anywhere, and be done by several processes at once.
    """
    now = clock()
    combined = compaction.compact(own, now, settings.archive_flush_bytes, beat)
    try:
        expired = _expire(own, now - settings.archive_snapshot_seconds)
        removed = orphans.remove(own.table, now - settings.archive_orphan_seconds, beat)
        _note(own, now)
    except CommitFailedException as error:
        raise Transient(f"the table {own.feed.name} was changed meanwhile: {error}") from error
    report = Report(own.feed.name, *combined, snapshots_expired=expired, files_removed=removed)
    log.info("maintained", **msgspec.to_builtins(report))
    return report


def _expire(own: FeedTable, older_than: float) -> int:
    """Drop snapshots from before a time, in seconds since 1970. The last one stays."""
    own.carry_offsets_on()
    with Kinds(f"expire snapshots of {own.feed.name}"):
        before = len(own.table.snapshots())
        moment = datetime.fromtimestamp(older_than, UTC)
        own.table.maintenance.expire_snapshots().older_than(moment).commit()
        return before - len(own.table.snapshots())


def _note(own: FeedTable, now: float) -> None:
    with Kinds(f"note the maintenance of {own.feed.name}"), own.table.transaction() as change:
        change.set_properties({MAINTAINED: str(int(now))})


def run(settings: Settings) -> list[Report]:
    """Maintain the tables of the feeds now. A table that is not there has nothing to maintain."""
    tables = catalog.opened(settings)
    reports = []
    for name in settings.feeds:
        with Kinds(f"look for its table {name}"):
            is_there = tables.table_exists((catalog.namespace(settings), name))
        if is_there:
            reports.append(maintain(FeedTable(tables, settings, FEEDS[name]), settings))
    return reports
