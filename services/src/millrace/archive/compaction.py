"""Combines the small files of periods (days, months) that are over: the same rows, in fewer files.

Of a period, rows are combined up to a limit of memory, and each such part becomes a file, which is
combined no more. What remains may be combined with files of events that come late.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import pyarrow as pa
import structlog
from pyiceberg.manifest import DataFile
from pyiceberg.table import FileScanTask, Table

from millrace.archive import files, periods
from millrace.archive.failures import Kinds
from millrace.archive.tables import FeedTable
from millrace.processor.errors import Unknown
from millrace.runtime.redaction import shown

log = structlog.get_logger(__name__)

FILES_AT_ONCE = 500
"""Of a commit, about: a commit costs as much as a file or two."""


class Combined(NamedTuple):
    """What was done: files that were combined, those that they became, and periods that failed."""

    before: int = 0
    after: int = 0
    failed: int = 0


def compact(own: FeedTable, now: float, limit: int, beat: Callable[[], None]) -> Combined:
    """Combine files of periods before that of `now`, in seconds since 1970. Raises as FeedTable.

    `limit` is in bytes of memory. Periods with a file that cannot be read are left as they are.
    """
    with Kinds(f"read its table {own.feed.name}"):
        found = _closed(own.table, now)
    before = after = failed = 0
    old: list[DataFile] = []
    new: list[DataFile] = []
    for number, tasks in enumerate(found, start=1):
        beat()
        try:
            with Kinds(f"combine files of {own.feed.name}"):
                made = _combine(own.table, tasks, limit, beat)
        except Unknown as error:
            failed += 1
            log.warning("files are not combined", feed=own.feed.name, reason=shown(f"{error}", 500))
        else:
            old += [task.file for task in tasks]
            new += made
        if len(old) >= FILES_AT_ONCE or number == len(found):
            if old and own.replace(old, new, _are_there(own, old)):
                before, after = before + len(old), after + len(new)
            old, new = [], []
    return Combined(before, after, failed)


def _are_there(own: FeedTable, old: Sequence[DataFile]) -> Callable[[], bool]:
    paths = {file.file_path for file in old}
    return lambda: paths <= {task.file.file_path for task in own.table.scan().plan_files()}


def _closed(table: Table, now: float) -> list[list[FileScanTask]]:
    """The files that may be combined of each period that is over and has several, oldest first."""
    found: dict[int, list[FileScanTask]] = {}
    current = periods.number(table, now)
    for task in table.scan().plan_files():
        file = task.file
        is_ours = file.file_path.rpartition("/")[2].startswith(f"{files.PARTIAL}-")
        if not is_ours or task.delete_files or file.spec_id != table.metadata.default_spec_id:
            continue
        if (period := file.partition[0]) < current:
            found.setdefault(period, []).append(task)
    for tasks in found.values():
        tasks.sort(key=lambda task: task.file.file_path)
    return [tasks for _, tasks in sorted(found.items()) if len(tasks) > 1]


def _combine(
    table: Table, tasks: Sequence[FileScanTask], limit: int, beat: Callable[[], None]
) -> list[DataFile]:
    """Write the rows of files to new ones."""
    made: list[DataFile] = []
    for rows, is_full in _parts(_batches(table, tasks), limit):
        prefix = files.FULL if is_full else files.PARTIAL
        made += files.write(table, rows, prefix=prefix, beat=beat)
        del rows  # before the next ones are read
    if (now := _count(made)) != (count := _count(task.file for task in tasks)):
        raise Unknown(f"{count} rows became {now}, in {made[0].file_path} and others")
    return made


def _parts(batches: Iterator[pa.RecordBatch], limit: int) -> Iterator[tuple[pa.Table, bool]]:
    """Rows that fit into memory, and whether they fill it."""
    held: list[Any] = []
    size = 0
    for batch in batches:
        held.append(batch)
        size += batch.nbytes
        if size >= limit:
            yield pa.Table.from_batches(held), True
            held, size = [], 0
    if held:
        yield pa.Table.from_batches(held), False


def _batches(table: Table, tasks: Sequence[FileScanTask]) -> Iterator[pa.RecordBatch]:
    """The rows of files, one file after the other, in the table's columns."""
    for task in tasks:
        yield from files.read(table, task.file.file_path)


def _count(written: Iterable[DataFile]) -> int:
    return sum(file.record_count for file in written)
