"""`millrace warehouse verify`: the warehouse has what the archive had when it was built."""

from collections.abc import Iterator
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


def verify(settings: Settings) -> PartReport:
    """Compare the counts of the last build with those of the snapshots that it read.

    Raises NoWarehouse, NoArchive, Failed, and as Kinds does.
    """
    files.check_there(settings.warehouse_file)
    with files.reasons(f"read {settings.warehouse_file}"):
        snapshots, counts = _of_warehouse(settings)
    return checks.report("the warehouse", [*_checks(settings, snapshots, counts)])


def _of_warehouse(settings: Settings) -> tuple[dict[str, int], Counts]:
    with engine.connect(settings, settings.warehouse_file) as connection:
        [(snapshots,)] = connection.execute(
            "select snapshots from builds order by started_at desc limit 1"
        ).fetchall()
        counted: dict[str, Any] = {
            feed: found
            for feed, *found in connection.execute(
                "select feed, sum(records), sum(events) from archived_records group by feed"
            ).fetchall()
        }
        counts = {}
        for feed in STAGED:
            query = f"select count(*) from staging.stg_{feed}"  # noqa: S608
            [(there,)] = connection.execute(query).fetchall()
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
