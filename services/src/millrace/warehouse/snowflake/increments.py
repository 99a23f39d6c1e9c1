"""Which files of a table have the rows that a reader of an earlier snapshot lacks."""

from collections.abc import Iterator

from pyiceberg.manifest import DataFile, ManifestEntryStatus
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Operation, Snapshot


def current(table: Table) -> list[DataFile]:
    """The files of the last snapshot."""
    return [task.file for task in table.scan().plan_files()]


def appended(table: Table, since: int) -> list[DataFile] | None:
    """The files that were appended after a snapshot, the first ones first.

    Those that maintenance made of others have no new rows, and are not among them. None if
    snapshots after it have expired, so that nobody knows any more.
    """
    appends: list[Snapshot] = []
    last = table.current_snapshot()
    at = last.snapshot_id if last else None
    while at != since:
        snapshot = table.snapshot_by_id(at) if at is not None else None
        if snapshot is None or snapshot.summary is None:
            return None
        if snapshot.summary.operation == Operation.APPEND:
            appends.append(snapshot)
        at = snapshot.parent_snapshot_id
    return [file for snapshot in reversed(appends) for file in _added(table, snapshot)]


def _added(table: Table, snapshot: Snapshot) -> Iterator[DataFile]:
    for manifest in snapshot.manifests(table.io):
        if manifest.added_snapshot_id != snapshot.snapshot_id:
            continue
        for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=True):
            # A merged manifest has the entries of others, too.
            is_own = entry.snapshot_id == snapshot.snapshot_id
            if is_own and entry.status == ManifestEntryStatus.ADDED:
                yield entry.data_file
