"""Removes files that no snapshot of a table has: those of expired ones, and of killed writers."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from pyarrow.fs import FileSelector, FileType
from pyiceberg.io.pyarrow import PyArrowFileIO
from pyiceberg.table import Table

from millrace.archive.failures import Kinds
from millrace.errors import MillraceError


def remove(table: Table, older_than: float, beat: Callable[[], None]) -> int:
    """Remove files last changed before a time, in seconds since 1970; return how many.

    Files of a commit that is being made are younger. Raises Transient, Permanent, Unknown.
    """
    io = table.io
    if not isinstance(io, PyArrowFileIO):
        raise MillraceError(f"files of {type(io).__name__} cannot be listed")
    with Kinds("look for files without a snapshot"):
        scheme, netloc, path = io.parse_location(table.location())
        system = io.fs_by_scheme(scheme, netloc)
        selector = FileSelector(path, recursive=True, allow_not_found=True)
        old = {
            found.path
            for found in system.get_file_info(selector)
            if found.type == FileType.File and found.mtime and found.mtime.timestamp() < older_than
        }
        # After the files were listed: what was committed meanwhile is known.
        table.refresh()
        for location in used(table):
            old.discard(io.parse_location(location)[2])
            beat()
        for file in sorted(old):
            beat()
            with suppress(FileNotFoundError):  # another process removed it
                system.delete_file(file)
    return len(old)


def used(table: Table) -> Iterator[str]:
    """The locations of all files of a table, of all its snapshots."""
    metadata = table.metadata
    yield table.metadata_location
    yield from (entry.metadata_file for entry in metadata.metadata_log)
    statistics: list[Any] = [*metadata.statistics, *metadata.partition_statistics]
    yield from (entry.statistics_path for entry in statistics)
    seen = set()
    for snapshot in metadata.snapshots:
        yield snapshot.manifest_list
        for manifest in snapshot.manifests(table.io):
            if manifest.manifest_path in seen:
                continue
            seen.add(manifest.manifest_path)
            yield manifest.manifest_path
            for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=True):
                yield entry.data_file.file_path
