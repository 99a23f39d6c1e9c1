"""What the archive has and the warehouse lacks, in a database that models read as their source."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.expressions import AlwaysTrue
from pyiceberg.io.pyarrow import ArrowScan
from pyiceberg.table import FileScanTask, Table

from millrace.archive import files
from millrace.archive.catalog import namespace
from millrace.archive.columns import LOG, OFFSET, PARTITION, Kind, of_table
from millrace.archive.failures import Kinds
from millrace.config import Settings
from millrace.feeds import FEEDS
from millrace.feeds.gpus import all_prices
from millrace.warehouse import engine

STAGED = ("metals", "stocks", "quotes", "gpu_metrics", "token_usage")
"""The feeds that models are about."""
TYPES: Mapping[Kind, str] = {
    Kind.TEXT: "varchar",
    Kind.BOOLEAN: "boolean",
    Kind.INTEGER: "integer",
    Kind.LONG: "bigint",
    Kind.DOUBLE: "double",
    Kind.TIME: "timestamptz",
}
Positions = Mapping[str, Mapping[tuple[str, int], int]]
"""By feed, the last offset that the warehouse has of each log and partition."""


def create(settings: Settings, path: Path) -> None:
    """Make the database, with the prices of GPUs and without events."""
    with engine.connect(settings, path, read_only=False) as landing:
        for feed in STAGED:
            columns = ", ".join(f"{one.name} {TYPES[one.kind]}" for one in of_table(FEEDS[feed]))
            landing.execute(f"create or replace table {feed} ({columns})")
        columns = "name varchar, since timestamp, usd_per_hour double"
        landing.execute(f"create or replace table gpu_prices ({columns})")
        landing.executemany("insert into gpu_prices values (?, ?, ?)", [*all_prices()])


def load(
    settings: Settings, tables: Catalog, path: Path, known: Positions, say: Callable[[str], None]
) -> dict[str, int]:
    """Fill the database with the records behind these positions. Raises as Kinds does.

    Returns the ids of the snapshots that were read, by feed.
    """
    snapshots = {}
    create(settings, path)
    with engine.connect(settings, path, read_only=False) as landing:
        for feed in STAGED:
            with Kinds(f"read its table {feed}"):
                try:
                    table = tables.load_table((namespace(settings), feed))
                except NoSuchTableError:
                    say(f"{feed}: not in the archive")
                    continue
                if snapshot := table.current_snapshot():
                    snapshots[feed] = snapshot.snapshot_id
                count = _fill(landing, table, feed, known.get(feed, {}))
            say(f"{feed}: {count:,} new records")
    return snapshots


def _fill(
    landing: duckdb.DuckDBPyConnection,
    table: Table,
    feed: str,
    known: Mapping[tuple[str, int], int],
) -> int:
    """Insert the rows behind the positions, a group of rows at a time; how many they are."""
    there = {field.name for field in table.schema().fields}
    names = ", ".join(one.name for one in of_table(FEEDS[feed]) if one.name in there)
    behind = _behind(known)
    query = f"insert into {feed} by name select {names} from rows where {behind or True}"  # noqa: S608
    count = 0
    for task in table.scan(row_filter=behind or AlwaysTrue()).plan_files():
        for rows in _rows(table, task):
            landing.register("rows", rows)
            [(added,)] = landing.execute(query).fetchall()
            count += added
            landing.unregister("rows")
    return count


def _rows(table: Table, task: FileScanTask) -> Iterator[pa.RecordBatch]:
    """The rows of a file, of which a part is in memory, unless another program deleted some."""
    if not task.delete_files:
        return files.read(table, task.file.file_path)
    scan = table.scan()
    reader = ArrowScan(table.metadata, table.io, scan.projection(), scan.row_filter)
    return iter(reader.to_table([task]).to_batches())


def _behind(known: Mapping[tuple[str, int], int]) -> str:
    """The condition for the records behind the positions, and for all of other logs.

    Iceberg and SQL write it in the same way. It is empty if all are.
    """
    if not known:
        return ""
    logs: dict[str, dict[int, int]] = {}
    for (log, partition), offset in known.items():
        logs.setdefault(log, {})[partition] = offset
    either = [f"{LOG} not in ({', '.join(map(_text, logs))})"]
    for log, partitions in logs.items():
        numbers = ", ".join(map(str, partitions))
        here = [f"{PARTITION} not in ({numbers})"]
        here += [f"({PARTITION} = {p} and {OFFSET} > {offset})" for p, offset in partitions.items()]
        either.append(f"({LOG} = {_text(log)} and ({' or '.join(here)}))")
    return " or ".join(either)


def positions(settings: Settings, database: Path) -> dict[str, dict[tuple[str, int], int]]:
    """How far a database has come."""
    found: dict[str, dict[tuple[str, int], int]] = {}
    with engine.connect(settings, database) as connection:
        rows: list[Any] = connection.execute(
            "select feed, kafka_log, kafka_partition, max(last_offset) from archived_records"
            " group by all"
        ).fetchall()
    for feed, log, partition, offset in rows:
        found.setdefault(feed, {})[log, partition] = offset
    return found


def precedes(settings: Settings, path: Path, database: Path) -> bool:
    """Whether a new record is the first of its event, although the database has another one."""
    order = "kafka_log, {0}.kafka_partition, {0}.kafka_offset"
    new = f"(new.kafka_timestamp at time zone 'UTC', new.{order.format('new')})"
    old = f"(old.kafka_timestamp, old.{order.format('old')})"
    with engine.connect(settings, path) as landing:
        landing.execute(f"attach {_text(database)} as built (read_only)")
        return any(
            landing.execute(
                f"select 1 from {feed} as new join built.staging.stg_{feed} as old"  # noqa: S608
                f" using (event_id) where {new} < {old} limit 1"
            ).fetchone()
            for feed in STAGED
        )


def _text(value: object) -> str:
    """A literal of SQL."""
    return "'" + str(value).replace("'", "''") + "'"
