"""`millrace warehouse verify`: the warehouse has what the archive had when it was built."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.table import Table

from millrace.archive.catalog import namespace
from millrace.archive.failures import Kinds
from millrace.config import Settings
from millrace.verify import checks
from millrace.verify.checks import Check, PartReport
from millrace.warehouse import building, engine, files
from millrace.warehouse.landing import STAGED

Counts = dict[str, tuple[int, int, int]]
"""By feed: records, events according to their counts, and events that are there."""
Ask = Callable[[str], list[Any]]
"""Answers a query with its rows."""


def verify(settings: Settings) -> PartReport:
    """Compare the counts of the last build with those of the snapshots that it read.

    Raises NoWarehouse, NoArchive, Failed, SnowflakeFailed, and as Kinds does.
    """
    with _asking(settings) as ask:
        snapshots, counts = _of_warehouse(ask)
    return checks.report("the warehouse", [*_checks(settings, snapshots, counts)])


@contextmanager
def _asking(settings: Settings) -> Iterator[Ask]:
    if settings.warehouse_engine == "snowflake":
        from millrace.warehouse.snowflake import building as in_snowflake

        with in_snowflake.asking(settings) as ask:
            yield ask
        return
    files.check_there(settings.warehouse_file)
    with (
        files.reasons(f"read {settings.warehouse_file}"),
        engine.connect(settings, settings.warehouse_file) as connection,
    ):
        yield lambda query: connection.execute(query).fetchall()


def _of_warehouse(ask: Ask) -> tuple[dict[str, int], Counts]:
    [(snapshots,)] = ask("select snapshots from builds order by started_at desc limit 1")
    counted = {
        feed: found
        for feed, *found in ask(
            "select feed, sum(records), sum(events) from archived_records group by feed"
        )
    }
    counts = {}
    for feed in STAGED:
        [(there,)] = ask(f"select count(*) from staging.stg_{feed}")  # noqa: S608
        records, events = counted.get(feed, (0, 0))
        counts[feed] = (int(records), int(events), there)
    return msgspec.json.decode(snapshots, type=dict[str, int]), counts


def _checks(settings: Settings, snapshots: dict[str, int], counts: Counts) -> Iterator[Check]:
    tables = building.existing(settings)
    for feed, (records, events, there) in counts.items():
        archived: int | None = 0
        if feed in snapshots:
            with Kinds(f"read its table {feed}"):
                try:
                    table = tables.load_table((namespace(settings), feed))
                except NoSuchTableError:
                    archived = None
                else:
                    archived = _records(table, snapshots[feed])
        said = "no such snapshot any more" if archived is None else f"{archived:,} in the archive"
        found = f"{said}, {records:,} in the warehouse"
        yield Check(feed, "records of the snapshot that was read", found, records == archived)
        found = f"{events:,} counted, {there:,} there"
        yield Check(feed, "events", found, events == there)


def _records(table: Table, snapshot_id: int) -> int | None:
    """The number of rows of a snapshot; None if it is gone."""
    snapshot = table.snapshot_by_id(snapshot_id)
    if snapshot is None or snapshot.summary is None:
        return None
    return int(snapshot.summary.additional_properties.get("total-records", 0))
