"""Builds, tests and describes the warehouse."""

import json
import resource
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import duckdb
from pyiceberg.catalog import Catalog

from millrace.archive import catalog
from millrace.config import Settings
from millrace.errors import MillraceError
from millrace.warehouse import contents, dbt, engine, files, landing
from millrace.warehouse.contents import Built, Contents
from millrace.warehouse.dbt import Dbt

PAGE = "index.html"
SQLITE = "sqlite:///"
KIBIBYTE = 1024


class NoArchive(MillraceError):
    """There is nothing to build from."""


class OnlyOfDuckDB(MillraceError):
    """The engine cannot do it."""


def now() -> datetime:
    """The time in UTC, without a zone, as in the database."""
    return datetime.now(UTC).replace(tzinfo=None)


def build(settings: Settings, *, full: bool) -> Built:
    """Add what the archive has got since the last build, or make everything anew."""
    if settings.warehouse_engine == "snowflake":
        from millrace.warehouse.snowflake import building as in_snowflake

        return in_snowflake.build(settings, full=full)
    database, start = settings.warehouse_file, time.monotonic()
    with files.workplace(database) as folder:
        built, source = folder / database.name, folder / "landing.duckdb"
        if not full and database.exists():
            files.copy(database, folder)
            full = not _is_of_these_models(settings, built)
        else:
            full = True
        if full:
            built.unlink(missing_ok=True)
        full, snapshots = _load(settings, built, source, full=full)
        variables = {
            "run_started_at": now().isoformat(sep=" "),
            "models_digest": dbt.digest(),
            "snapshots": json.dumps(snapshots),
        }
        output = dbt.on_duckdb(settings, built, source)
        runner = Dbt(settings, folder, output, variables, say)
        passed = runner.run(
            ["build"], "--exclude-resource-type", "unit_test", "--exclude", "tag:whole"
        )
        found = contents.read(settings, built)
        files.publish(built, database)
    how, took = "anew" if full else "with what is new", time.monotonic() - start
    say(f"built {database} {how}: {found.new_events:,} events, {passed} tests passed, {took:.0f} s")
    return Built(found, passed, took, memory())


def memory() -> int:
    """The most that this process had at a time, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * KIBIBYTE


def show(settings: Settings) -> Contents:
    """What the database has. Raises NoWarehouse, Failed."""
    if settings.warehouse_engine == "snowflake":
        from millrace.warehouse.snowflake import building as in_snowflake

        return in_snowflake.show(settings)
    database = settings.warehouse_file
    files.check_there(database)
    with files.reasons(f"read {database}"):
        return contents.read(settings, database)


def test(settings: Settings) -> None:
    """Test the data, and the calculations on values that were worked out by hand."""
    if settings.warehouse_engine == "snowflake":
        from millrace.warehouse.snowflake import building as in_snowflake

        in_snowflake.test(settings)
        return
    with files.workplace(settings.warehouse_file) as folder:
        passed = _beside(settings, folder).run(["test"])
    say(f"{passed} tests passed")


def docs(settings: Settings, target: Path) -> None:
    """Write a page that describes every model and column. Raises OnlyOfDuckDB."""
    if settings.warehouse_engine == "snowflake":
        raise OnlyOfDuckDB(
            "the page is made of a warehouse in DuckDB, and MILLRACE_WAREHOUSE_ENGINE is snowflake:"
            " the models are the same"
        )
    with files.workplace(settings.warehouse_file) as folder:
        runner = _beside(settings, folder)
        runner.run(["docs", "generate"], "--static")
        page = (runner.target / "static_index.html").read_bytes()
    try:
        target.mkdir(parents=True, exist_ok=True)
        (target / PAGE).write_bytes(page)
    except OSError as error:
        raise MillraceError(f"cannot write {target / PAGE}: {error.strerror}") from error
    say(f"wrote {target / PAGE}")


def existing(settings: Settings) -> Catalog:
    """The archive's catalog, which is not made here. Raises NoArchive."""
    url = settings.archive_catalog
    if url.startswith(SQLITE) and not Path(url.removeprefix(SQLITE)).exists():
        raise NoArchive(f"there is no archive: {url} does not exist")
    return catalog.existing(settings)


def _load(
    settings: Settings, built: Path, source: Path, *, full: bool
) -> tuple[bool, dict[str, int]]:
    """Read what is new, or all; whether it is all, and the snapshots that were read."""
    tables = existing(settings)
    known = {} if full else landing.positions(settings, built)
    snapshots = landing.load(settings, tables, source, known, say)
    if full or not landing.precedes(settings, source, built):
        return full, snapshots
    say("a new record is the first of an event that is known from another: all is built anew")
    built.unlink()
    source.unlink()
    return True, landing.load(settings, tables, source, {}, say)


def _is_of_these_models(settings: Settings, built: Path) -> bool:
    try:
        with engine.connect(settings, built) as connection:
            found = connection.execute(
                "select models_digest from builds order by started_at desc limit 1"
            ).fetchall()
    except duckdb.Error as error:
        say(f"the warehouse that is there cannot be read, and is built anew: {error}")
        return False
    return found == [(dbt.digest(),)]


def _beside(settings: Settings, folder: Path) -> Dbt:
    """dbt, on a copy of the warehouse."""
    copied, source = files.copy(settings.warehouse_file, folder), folder / "landing.duckdb"
    landing.create(settings, source)
    return Dbt(settings, folder, dbt.on_duckdb(settings, copied, source), {}, say)


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
