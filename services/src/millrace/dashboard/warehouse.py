"""History, from the warehouse's file: opened read-only, and again when a build has replaced it."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import pandas as pd

from millrace.dashboard.trouble import Trouble
from millrace.runtime.redaction import shown

SECONDS = 6.0
"""For a query, and to wait for the one before it."""
MOST_ROWS = 20_000
MEMORY = "192MB"
OPENED: dict[str, str | bool | int | float | list[str]] = {
    "memory_limit": MEMORY,
    "threads": 1,
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "enable_external_access": False,
}


class Version(NamedTuple):
    """Which file it is: a build puts another one in its place."""

    inode: int
    changed_ns: int
    size: int


class Warehouse:
    """The file, to which one query is put at a time. Everything raises Trouble."""

    def __init__(self, path: Path, seconds: float = SECONDS) -> None:
        self._path = path
        self._seconds = seconds
        self._lock = threading.Lock()
        self._opened: tuple[Version, duckdb.DuckDBPyConnection] | None = None

    def version(self) -> Version:
        """Which file is there now."""
        try:
            found = self._path.stat()
        except OSError:
            raise Trouble(
                f"There is no warehouse at {self._path} yet: `millrace warehouse build` makes it"
                " once the archive has something."
            ) from None
        return Version(found.st_ino, found.st_mtime_ns, found.st_size)

    def read(self, query: str, parameters: Sequence[Any] = ()) -> pd.DataFrame:
        """The rows of a query, with a column of its name for each; times are UTC without a zone."""
        with self._alone():
            connection = self._current()
            timer = threading.Timer(self._seconds, connection.interrupt)
            timer.daemon = True
            timer.start()
            try:
                bounded = f"select * from ({query}) limit {MOST_ROWS + 1}"  # noqa: S608 - ours
                rows = connection.execute(bounded, list(parameters)).df()
            except duckdb.InterruptException:
                raise Trouble(
                    f"The warehouse has not answered within {self._seconds:.0f} s: choose a"
                    " shorter range."
                ) from None
            except duckdb.Error as error:
                raise Trouble(f"The warehouse cannot be read: {shown(error)}") from None
            finally:
                timer.cancel()
        if len(rows) > MOST_ROWS:
            raise Trouble(f"That is more than {MOST_ROWS:,} rows: choose a shorter range.")
        return rows

    def close(self) -> None:
        """Close the file."""
        if self._opened:
            self._opened[1].close()
            self._opened = None

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if not self._lock.acquire(timeout=self._seconds):
            raise Trouble("The warehouse is busy with another question: it is asked again soon.")
        try:
            yield
        finally:
            self._lock.release()

    def _current(self) -> duckdb.DuckDBPyConnection:
        """The file that is there now. DuckDB would open a path that it has open only once, so the
        former file is closed first."""
        version = self.version()
        if self._opened and self._opened[0] == version:
            return self._opened[1]
        self.close()
        try:
            connection = duckdb.connect(str(self._path), read_only=True, config=OPENED)
        except duckdb.Error as error:
            raise Trouble(f"The warehouse cannot be opened: {shown(error)}") from None
        self._opened = version, connection
        return connection
