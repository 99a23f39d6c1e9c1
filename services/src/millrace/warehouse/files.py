"""The database's file: a new one is made beside it, and takes its place as a whole.

Readers that have it open keep the file that they opened. Whatever ends a build leaves it as it was.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from millrace.archive.durable import sync
from millrace.errors import MillraceError
from millrace.runtime.redaction import shown
from millrace.runtime.state_files import locked

LONGEST_REASON = 400


class Busy(MillraceError):
    """Another process builds or tests the same database."""


class NoWarehouse(MillraceError):
    """There is no database yet."""


class NoPlace(MillraceError):
    """The folder of the database cannot be used."""


class Failed(MillraceError):
    """DuckDB cannot do something, as for lack of memory or of space."""


@contextmanager
def workplace(database: Path) -> Iterator[Path]:
    """A folder beside the database for one process at a time; it is gone in the end."""
    folder = database.parent / f".{database.name}.build"
    try:
        database.parent.mkdir(parents=True, exist_ok=True)
        busy = Busy(f"another process builds or tests {database}")
        with locked(database.parent / f".{database.name}.lock", busy=busy):
            shutil.rmtree(folder, ignore_errors=True)  # of a process that was killed
            folder.mkdir()
            try:
                with reasons(f"build {database}"):
                    yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)
    except OSError as error:
        where = error.filename or folder
        raise NoPlace(f"cannot build in {database.parent}: {where}: {error.strerror}") from error


@contextmanager
def reasons(what: str) -> Iterator[None]:
    """Say in a line what DuckDB cannot do. Raises Failed."""
    try:
        yield
    except duckdb.Error as error:
        said = shown(" ".join(str(error).split()), LONGEST_REASON)
        raise Failed(f"cannot {what}: {said}") from error


def check_there(database: Path) -> None:
    """Raise NoWarehouse if there is none."""
    if not database.exists():
        raise NoWarehouse(f"there is no warehouse at {database}: millrace warehouse build makes it")


def copy(database: Path, folder: Path) -> Path:
    """A copy of the database to work on. Raises NoWarehouse."""
    check_there(database)
    return Path(shutil.copyfile(database, folder / database.name))


def publish(built: Path, database: Path) -> None:
    """Let readers that open the database from now on find the one that was built."""
    sync(built)
    built.replace(database)
    sync(database.parent)
