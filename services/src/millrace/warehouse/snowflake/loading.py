"""Loads files of the archive into Snowflake's schema `landing`, which models read as their source.

One transaction copies the rows, and says up to which snapshot of each table they reach. Whatever
ends a load, either both are there or nothing is.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.manifest import DataFile
from snowflake.connector.cursor import SnowflakeCursor
from snowflake.connector.errors import Error

from millrace.archive.catalog import namespace
from millrace.archive.columns import LOG, OFFSET, PARTITION, Kind, of_table
from millrace.archive.failures import Kinds
from millrace.config import Settings
from millrace.errors import MillraceError
from millrace.feeds import FEEDS
from millrace.feeds.gpus import all_prices
from millrace.warehouse.landing import STAGED
from millrace.warehouse.snowflake import increments

STAGE = "landing.archive"
STATE = "landing.state"
TYPES: Mapping[Kind, str] = {
    Kind.TEXT: "varchar",
    Kind.BOOLEAN: "boolean",
    Kind.INTEGER: "integer",
    Kind.LONG: "bigint",
    Kind.DOUBLE: "double",
    Kind.TIME: "timestamp_ltz",
}
FILES_OF_A_COPY = 1000
"""The most that a statement may name."""
LONGEST_HOURS = 6
"""After which a build that has not ended is believed to be dead."""
LOADING, BUILDING, BUILT = "loading", "building", "built"
"""The phases of a build. One that ended while it loaded has changed no model."""
Positions = Mapping[str, int]
"""By feed, the snapshot of its table that the warehouse has come to."""


class Fenced(MillraceError):
    """Another build has begun, or runs."""


class Misloaded(MillraceError):
    """Snowflake did not load what was to be loaded."""


class NotInS3(MillraceError):
    """The archive is where Snowflake cannot read it."""


class State(NamedTuple):
    """What the last build came to."""

    build: str
    phase: str
    positions: Positions
    is_recent: bool
    """Whether it began so lately that it may still run."""


class Batch(NamedTuple):
    """The files of a feed to load, and the snapshot that they reach."""

    feed: str
    files: Sequence[DataFile]
    snapshot: int


def check_place(settings: Settings) -> None:
    """Raise NotInS3 unless the archive is where Snowflake can read it."""
    if not settings.archive_warehouse.startswith("s3://"):
        raise NotInS3(
            f"Snowflake reads the archive from S3, and it is in {settings.archive_warehouse}:"
            " MILLRACE_ARCHIVE_WAREHOUSE has to be s3://bucket/prefix"
        )


def state(cursor: SnowflakeCursor) -> State:
    """What the last build came to. Raises Fenced."""
    cursor.execute(
        f"insert into {STATE} select '', %s, current_timestamp(), '{{}}'"  # noqa: S608
        f" where not exists (select 1 from {STATE})",
        (BUILT,),
    )
    recent = f"begun_at > dateadd('hour', -{LONGEST_HOURS}, current_timestamp())"
    cursor.execute(f"select build, phase, positions, {recent} from {STATE}")  # noqa: S608
    rows: list[Any] = cursor.fetchall()
    if len(rows) != 1:
        raise Fenced(f"{STATE} has {len(rows)} rows: delete all but one")
    build, phase, positions, is_recent = rows[0]
    return State(build, phase, json.loads(positions), bool(is_recent))


def begin(cursor: SnowflakeCursor, before: State, build: str) -> None:
    """Let this build be the one that loads, if none has begun meanwhile. Raises Fenced."""
    change = "build = %s, phase = %s, begun_at = current_timestamp()"
    _change(cursor, change, (build, LOADING), before.build)


def load(
    cursor: SnowflakeCursor,
    settings: Settings,
    build: str,
    positions: Positions,
    files: Sequence[Batch],
) -> None:
    """Fill the landing with files, and only them. Raises Fenced, Misloaded.

    `positions` are those of feeds that have no new files.
    """
    for feed in STAGED:
        columns = ", ".join(f"{one.name} {TYPES[one.kind]}" for one in of_table(FEEDS[feed]))
        cursor.execute(f"create or replace transient table landing.{feed} ({columns})")
    columns = "name varchar, since timestamp_ntz, usd_per_hour double"
    cursor.execute(f"create or replace transient table landing.gpu_prices ({columns})")
    with _transaction(cursor):
        prices = "insert into landing.gpu_prices values (%s, %s, %s)"
        cursor.executemany(prices, [*all_prices()])
        for batch in files:
            _copy(cursor, settings, batch)
        reached = json.dumps({**positions, **{one.feed: one.snapshot for one in files}})
        _change(cursor, "phase = %s, positions = %s", (BUILDING, reached), build)


def end(cursor: SnowflakeCursor, build: str) -> None:
    """Say that the models are built of what was loaded. Raises Fenced."""
    _change(cursor, "phase = %s", (BUILT,), build)


def _change(cursor: SnowflakeCursor, change: str, values: tuple[str, ...], build: str) -> None:
    cursor.execute(f"update {STATE} set {change} where build = %s", (*values, build))  # noqa: S608
    if cursor.rowcount != 1:
        raise Fenced("another build of this database has begun, and goes on")


def _copy(cursor: SnowflakeCursor, settings: Settings, batch: Batch) -> None:
    """Copy rows. Snowflake's own memory of files is not asked: it knows no transaction's end."""
    root = f"{settings.archive_warehouse}/"
    for first in range(0, len(batch.files), FILES_OF_A_COPY):
        files = batch.files[first : first + FILES_OF_A_COPY]
        if other := [file for file in files if not file.file_path.startswith(root)]:
            raise NotInS3(f"{other[0].file_path} of {batch.feed} is not in {root}")
        names = ", ".join(_text(file.file_path.removeprefix(root)) for file in files)
        cursor.execute(
            f"COPY INTO landing.{batch.feed} FROM @{STAGE} FILES = ({names})"
            " FILE_FORMAT = (TYPE = PARQUET USE_LOGICAL_TYPE = TRUE)"
            " MATCH_BY_COLUMN_NAME = CASE_INSENSITIVE ON_ERROR = ABORT_STATEMENT FORCE = TRUE"
        )
        rows: list[Any] = cursor.fetchall()
        loaded = sum(row[3] for row in rows if len(row) > 3)
        expected = sum(file.record_count for file in files)
        if loaded != expected:
            raise Misloaded(
                f"Snowflake loaded {loaded:,} records of {batch.feed}, and the archive has"
                f" {expected:,} in these files, as {files[0].file_path}; nothing was kept"
            )


@contextmanager
def _transaction(cursor: SnowflakeCursor) -> Iterator[None]:
    cursor.execute("begin")
    try:
        yield
    except BaseException:
        with suppress(Error):
            cursor.execute("rollback")
        raise
    cursor.execute("commit")


def precedes(cursor: SnowflakeCursor) -> bool:
    """Whether a new record is the first of its event, although another one is built already."""
    new_at = "cast(convert_timezone('UTC', new.kafka_timestamp) as timestamp_ntz)"
    pairs = [(new_at, "old.kafka_timestamp")]
    pairs += [(f"new.{name}", f"old.{name}") for name in (LOG, PARTITION, OFFSET)]
    earlier = "false"
    for new, old in reversed(pairs):
        earlier = f"{new} < {old} or ({new} = {old} and ({earlier}))"
    for feed in STAGED:
        cursor.execute(
            f"select 1 from landing.{feed} as new join staging.stg_{feed} as old"  # noqa: S608
            f" on old.event_id = new.event_id where {earlier} limit 1"
        )
        if cursor.fetchall():
            return True
    return False


def _text(value: str) -> str:
    """A literal of SQL."""
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"


def batches(settings: Settings, tables: Catalog, known: Positions) -> list[Batch] | None:
    """What is behind these positions. None if that cannot be known any more.

    Raises as Kinds does.
    """
    found = []
    for feed in STAGED:
        with Kinds(f"read its table {feed}"):
            try:
                table = tables.load_table((namespace(settings), feed))
            except NoSuchTableError:
                continue
            if (last := table.current_snapshot()) is None:
                continue
            since = known.get(feed)
            files = (
                increments.current(table) if since is None else increments.appended(table, since)
            )
        if files is None:
            return None
        found.append(Batch(feed, files, last.snapshot_id))
    return found
