"""The database's file: a new one is made beside it, and takes its place as a whole.

Readers that have it open keep the file that they opened. Whatever ends a build leaves it as it was.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from millrace.archive.durable import sync
from millrace.errors import MillraceError
from millrace.runtime.redaction import shown

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
        with _locked(database.parent / f".{database.name}.lock", database):
            shutil.rmtree(folder, ignore_errors=True)  # of a process that was killed
            folder.mkdir()
            try:
                yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)
    except OSError as error:
        where = error.filename or folder
        raise NoPlace(f"cannot build in {database.parent}: {where}: {error.strerror}") from error
    except duckdb.Error as error:
        said = shown(" ".join(str(error).split()), LONGEST_REASON)
        raise Failed(f"cannot build {database}: {said}") from error


def copy(database: Path, folder: Path) -> Path:
    """A copy of the database to work on. Raises NoWarehouse."""
    if not database.exists():
        raise NoWarehouse(f"there is no warehouse at {database}: millrace warehouse build makes it")
    return Path(shutil.copyfile(database, folder / database.name))


def publish(built: Path, database: Path) -> None:
    """Let readers that open the database from now on find the one that was built."""
    sync(built)
    built.replace(database)
    sync(database.parent)


@contextmanager
def _locked(path: Path, database: Path) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Busy(f"another process builds or tests {database}") from None
        yield
    finally:
        os.close(descriptor)
