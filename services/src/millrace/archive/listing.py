"""`millrace archive tables`: what each table has, and where programs find it."""

from contextlib import suppress
from typing import Any

import msgspec
import rich.table
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.table import Table

from millrace.archive import catalog
from millrace.archive.failures import Kinds
from millrace.archive.tables import held
from millrace.config import Settings
from millrace.feeds import FEEDS, Feed
from millrace.runtime.console import console, text


class Listed(msgspec.Struct, frozen=True):
    """A table as it is now."""

    feed: str
    rows: int
    files: int
    bytes: int
    snapshots: int
    log: str | None
    next: dict[int, int]
    """The next offset to archive of each partition, in this log."""
    metadata: str
    """The file that says what the table is, for programs without a catalog."""


def find(settings: Settings) -> list[Listed]:
    """The tables of the feeds that are there. Raises Transient, Permanent, Unknown."""
    tables = catalog.opened(settings)
    found = []
    for name in settings.feeds:
        with Kinds(f"read its table {name}"), suppress(NoSuchTableError):
            table = tables.load_table((catalog.namespace(settings), name))
            found.append(listed(table, FEEDS[name]))
    return found


def listed(table: Table, feed: Feed[Any]) -> Listed:
    """A table as it was loaded."""
    snapshot, offsets = table.current_snapshot(), held(table, feed)
    summary = snapshot.summary if snapshot else None
    totals = summary.additional_properties if summary else {}
    return Listed(
        feed.name,
        int(totals.get("total-records", 0)),
        int(totals.get("total-data-files", 0)),
        int(totals.get("total-files-size", 0)),
        len(table.snapshots()),
        offsets.log,
        offsets.next,
        table.metadata_location,
    )


def run(settings: Settings, *, as_json: bool) -> None:
    """Print the tables."""
    found = find(settings)
    if as_json:
        console().print_json(msgspec.json.encode(found).decode())
        return
    shown = rich.table.Table("feed", "rows", "files", "bytes", "snapshots", "metadata")
    for one in found:
        numbers = (one.rows, one.files, one.bytes, one.snapshots)
        shown.add_row(one.feed, *(f"{number:,}" for number in numbers), text(one.metadata))
    console().print(shown)
