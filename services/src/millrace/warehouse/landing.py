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
from pyiceberg.table import Table

from millrace.archive.catalog import namespace
from millrace.archive.columns import LOG, OFFSET, PARTITION, Kind, of_table
from millrace.archive.failures import Kinds
from millrace.config import Settings
from millrace.feeds import FEEDS
from millrace.feeds.gpus import all_prices

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


def create(path: Path) -> None:
    """Make the database, with the prices of GPUs and without events."""
    with duckdb.connect(path) as landing:
        for feed in STAGED:
            columns = ", ".join(f"{one.name} {TYPES[one.kind]}" for one in of_table(FEEDS[feed]))
            landing.execute(f"create or replace table {feed} ({columns})")
        columns = "name varchar, since timestamp, usd_per_hour double"
        landing.execute(f"create or replace table gpu_prices ({columns})")
        landing.executemany("insert into gpu_prices values (?, ?, ?)", [*all_prices()])


def load(
    settings: Settings, tables: Catalog, path: Path, known: Positions, say: Callable[[str], None]
) -> None:
    """Fill the database with the records behind these positions. Raises as Kinds does."""
    create(path)
    with duckdb.connect(path) as landing:
        for feed in STAGED:
            with Kinds(f"read its table {feed}"):
                try:
                    table = tables.load_table((namespace(settings), feed))
                except NoSuchTableError:
                    say(f"{feed}: not in the archive")
                    continue
                count, files = 0, 0
                for rows in _read(table, feed, known.get(feed, {})):
                    landing.execute(f"insert into {feed} by name select * from rows")  # noqa: S608
                    count, files = count + rows.num_rows, files + 1
            say(f"{feed}: {count:,} new records in {files:,} files")


def _read(table: Table, feed: str, known: Mapping[tuple[str, int], int]) -> Iterator[pa.Table]:
    """The rows of each file that has some behind the positions: one file at a time is in memory."""
    there = {field.name for field in table.schema().fields}
    names = [one.name for one in of_table(FEEDS[feed]) if one.name in there]
    scan = table.scan(row_filter=_behind(known), selected_fields=tuple(names))
    reader = ArrowScan(table.metadata, table.io, scan.projection(), scan.row_filter)
    for task in scan.plan_files():
        rows = reader.to_table([task])
        if rows.num_rows:
            yield rows


def _behind(known: Mapping[tuple[str, int], int]) -> str | AlwaysTrue:
    """The condition for the records behind the positions, and for all of other logs."""
    if not known:
        return AlwaysTrue()
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


def positions(database: Path) -> dict[str, dict[tuple[str, int], int]]:
    """How far a database has come."""
    found: dict[str, dict[tuple[str, int], int]] = {}
    with duckdb.connect(database, read_only=True) as connection:
        rows: list[Any] = connection.execute(
            "select feed, kafka_log, kafka_partition, max(last_offset) from archived_records"
            " group by all"
        ).fetchall()
    for feed, log, partition, offset in rows:
        found.setdefault(feed, {})[log, partition] = offset
    return found


def precedes(path: Path, database: Path) -> bool:
    """Whether a new record is the first of its event, although the database has another one."""
    order = "kafka_log, {0}.kafka_partition, {0}.kafka_offset"
    new = f"(new.kafka_timestamp at time zone 'UTC', new.{order.format('new')})"
    old = f"(old.kafka_timestamp, old.{order.format('old')})"
    with duckdb.connect(path, read_only=True) as landing:
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
