"""Builds and tests the warehouse in Snowflake."""

import json
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from snowflake.connector.cursor import SnowflakeCursor
from snowflake.connector.errors import ProgrammingError

from millrace.config import Settings
from millrace.warehouse import building, contents, dbt, files
from millrace.warehouse.contents import Built, Contents
from millrace.warehouse.dbt import Dbt
from millrace.warehouse.files import NoWarehouse
from millrace.warehouse.snowflake import connecting, loading
from millrace.warehouse.snowflake.loading import BUILDING, BUILT, State


def build(settings: Settings, *, full: bool) -> Built:
    """Load what the archive has got since the last build and add it, or make everything anew."""
    start = time.monotonic()
    loading.check_place(settings)
    with files.workplace(settings.warehouse_file) as folder:
        own = uuid.uuid4().hex
        full, snapshots = _load(settings, own, full=full)
        variables = {
            "run_started_at": building.now().isoformat(sep=" "),
            "models_digest": dbt.digest(),
            "snapshots": json.dumps(snapshots),
        }
        runner = Dbt(settings, folder, output(settings), variables, building.say)
        passed = runner.run(
            *(["build"], "--exclude-resource-type", "unit_test", "--exclude", "tag:whole"),
            *(["--full-refresh"] if full else []),
        )
        found = show(settings)
        with _as_loader(settings, "note that it is built") as cursor:
            loading.end(cursor, own)
    how, took = "anew" if full else "with what is new", time.monotonic() - start
    building.say(
        f"built {settings.snowflake_database} in Snowflake {how}: {found.new_events:,} events,"
        f" {passed} tests passed, {took:.0f} s"
    )
    return Built(found, passed, took, building.memory())


def show(settings: Settings) -> Contents:
    """What the database has. Raises NoWarehouse, SnowflakeFailed."""
    with asking(settings) as ask:
        [build] = ask(contents.BUILD)
        return contents.of(build, ask(contents.FEEDS), None)


@contextmanager
def asking(settings: Settings) -> Iterator[Callable[[str], list[Any]]]:
    """What answers queries of what was built. Raises NoWarehouse, SnowflakeFailed."""
    with _as_builder(settings) as cursor:
        if _of_the_last_build(cursor, contents.BUILD) is None:
            where = f"{settings.snowflake_database} in Snowflake"
            raise NoWarehouse(
                f"there is no warehouse in {where}: millrace warehouse build makes it"
            )
        yield lambda query: _rows(cursor, query)


def _rows(cursor: SnowflakeCursor, query: str) -> list[Any]:
    cursor.execute(query)
    return cursor.fetchall()


def test(settings: Settings) -> None:
    """Test the data. Calculations are tested on DuckDB: they are the same models."""
    with files.workplace(settings.warehouse_file) as folder:
        connecting.check(settings)
        runner = Dbt(settings, folder, output(settings), {}, building.say)
        passed = runner.run(["test"], "--exclude-resource-type", "unit_test")
    building.say(f"{passed} tests passed")


def output(settings: Settings) -> dict[str, Any]:
    """Where dbt builds."""
    return {
        "type": "snowflake",
        "account": settings.snowflake_account,
        "user": settings.snowflake_user,
        "private_key_path": str(settings.snowflake_private_key_file),
        "role": settings.snowflake_role,
        "warehouse": settings.snowflake_warehouse,
        "database": settings.snowflake_database,
        "schema": settings.snowflake_schema,
        "threads": settings.warehouse_threads,
        "query_tag": connecting.TAG,
        "connect_timeout": connecting.LOGIN_SECONDS,
    }


def _load(settings: Settings, own: str, *, full: bool) -> tuple[bool, dict[str, int]]:
    """Load what is new, or all; whether it is all, and the snapshots that it reaches."""
    tables = building.existing(settings)
    with _as_builder(settings) as cursor:
        digest = "select models_digest from builds order by started_at desc limit 1"
        is_of_these = _of_the_last_build(cursor, digest) == (dbt.digest(),)
    with _as_loader(settings, "load") as cursor:
        before = loading.state(cursor)
        _check_alone(settings, before, full=full)
        full = full or not is_of_these or before.phase == BUILDING
        known = {} if full else before.positions
        found = loading.batches(settings, tables, known)
        if found is None:
            building.say("snapshots that would tell what is new have expired: all is built anew")
            full, known = True, {}
            found = loading.batches(settings, tables, known) or []
        _note(settings, own)
        loading.begin(cursor, before, own)
        reached = _fill(cursor, settings, own, known, found)
    if full:
        return True, reached
    with _as_builder(settings) as cursor:
        if not loading.precedes(cursor):
            return False, reached
    building.say(
        "a new record is the first of an event that is known from another: all is built anew"
    )
    with _as_loader(settings, "load") as cursor:
        found = loading.batches(settings, tables, {}) or []
        return True, _fill(cursor, settings, own, {}, found)


def _fill(
    cursor: SnowflakeCursor,
    settings: Settings,
    own: str,
    known: loading.Positions,
    found: list[loading.Batch],
) -> dict[str, int]:
    loading.load(cursor, settings, own, known, found)
    for batch in found:
        count = sum(file.record_count for file in batch.files)
        building.say(f"{batch.feed}: {count:,} new records in {len(batch.files):,} files")
    return {**known, **{batch.feed: batch.snapshot for batch in found}}


def _check_alone(settings: Settings, before: State, *, full: bool) -> None:
    """Raise Fenced if another process may be building. One of this folder is dead: it is locked."""
    ours = _noted(settings)
    with suppress(FileNotFoundError):
        is_ours = ours.read_text() == before.build
        if is_ours:
            return
    if before.phase != BUILT and before.is_recent and not full:
        raise loading.Fenced(
            f"a build that began elsewhere less than {loading.LONGEST_HOURS} hours ago has not"
            " ended: wait for it, or, if it is dead, build with --full"
        )


def _note(settings: Settings, own: str) -> None:
    _noted(settings).write_text(own)


def _noted(settings: Settings) -> Path:
    """The file with the last build of this folder."""
    return settings.warehouse_file.parent / ".snowflake.build"


def _of_the_last_build(cursor: SnowflakeCursor, query: str) -> Any:
    """The row of a query, or None if nothing was ever built."""
    try:
        cursor.execute(query)
    except ProgrammingError as error:
        if error.errno in connecting.DOES_NOT_EXIST:
            return None
        raise
    return cursor.fetchone()


@contextmanager
def _as_builder(settings: Settings) -> Iterator[SnowflakeCursor]:
    role = settings.snowflake_role
    with (
        connecting.connected(settings, role) as connection,
        connecting.explained(settings, role, "read what was built"),
        connection.cursor() as cursor,
    ):
        yield cursor


@contextmanager
def _as_loader(settings: Settings, what: str) -> Iterator[SnowflakeCursor]:
    role = settings.snowflake_loader_role
    with (
        connecting.connected(settings, role) as connection,
        connecting.explained(settings, role, what),
        connection.cursor() as cursor,
    ):
        yield cursor
