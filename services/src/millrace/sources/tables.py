"""CSV as others write it: with a comma, a semicolon or a tab, in UTF-8 or UTF-16, also compressed.

Each line is a row by itself: a quotation mark that nobody closes spoils no other.
"""

import csv
import gzip
import io
import re
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple, TypeVar

from millrace.errors import MillraceError
from millrace.runtime.redaction import shown
from millrace.sources.jsonlines import encoding

T = TypeVar("T")

DELIMITERS = (",", ";", "\t")
GZIP = b"\x1f\x8b"
LONGEST_HEADER = 80
_FORMULA = re.compile(r'\A="([^"]*)"\Z')
"""How exports have spreadsheets take a cell for text."""


class NoTable(MillraceError):
    """A file of which no row can be read."""


class Row(NamedTuple):
    """A row, and the line that it is in."""

    line: int
    cells: Mapping[str, str]
    problem: str | None = None
    """Why nobody can say what is in which column."""

    def read(self, name: str, meaning: Callable[[str], T]) -> T:
        """What the cell of a column means; ValueError names the column."""
        if self.problem:
            raise ValueError(self.problem)
        text = self.cells.get(_plain(name))
        try:
            if not text:
                raise ValueError("is empty")
            return meaning(text)
        except ValueError as error:
            raise ValueError(f"`{name}` {error}") from None


def read(path: Path, columns: Sequence[str]) -> Iterator[Row]:
    """The rows that are not empty; NoTable if the file has not got the columns."""
    number, table = 0, None
    with ExitStack() as opened:
        try:
            for number, line in enumerate(_lines(path, opened), 1):
                if not line.strip("".join(DELIMITERS) + '" \n'):
                    continue
                if table is None:
                    table = _header(path, line, columns)
                else:
                    yield _row(number, line, *table)
        except (OSError, EOFError, zlib.error, UnicodeError) as error:
            raise NoTable(f"cannot read {path} behind line {number}: {shown(error)}") from None
    if table is None:
        raise NoTable(f"{path} is empty")


def _lines(path: Path, opened: ExitStack) -> Iterator[str]:
    """The lines, whatever ends them; bytes that are no text are surrogates."""
    file = opened.enter_context(path.open("rb"))
    is_packed = file.read(len(GZIP)) == GZIP
    file.seek(0)
    stream = gzip.GzipFile(fileobj=file) if is_packed else file
    buffered = io.BufferedReader(stream)
    is_utf_8 = encoding(buffered.peek(2)) == "utf-8"
    return opened.enter_context(
        io.TextIOWrapper(
            buffered,
            "utf-8-sig" if is_utf_8 else "utf-16",
            errors="surrogateescape" if is_utf_8 else "replace",
        )
    )


def _header(path: Path, line: str, columns: Sequence[str]) -> tuple[str, list[str]]:
    """What separates cells, and the names of the columns, as they are compared."""
    for delimiter in DELIMITERS:
        try:
            names = [_plain(cell) for cell in _cells(line, delimiter)]
        except csv.Error:
            continue
        if {_plain(name) for name in columns} <= set(names):
            for name in columns:
                if names.count(_plain(name)) > 1:
                    raise NoTable(f"{path} has two columns {name}: leave one")
            while not names[-1]:
                names.pop()
            return delimiter, names
    raise NoTable(
        f"{path} begins with {shown(line, LONGEST_HEADER)!a}: its first line has to name the"
        f" columns {', '.join(columns)}, with a comma, a semicolon or a tab between them"
    )


def _row(number: int, line: str, delimiter: str, names: list[str]) -> Row:
    try:
        cells = _cells(line, delimiter)
    except csv.Error as error:
        return Row(number, {}, f"its quotation marks are wrong: {error}")
    if any(cells[len(names) :]):
        return Row(
            number,
            {},
            f"it has more cells than the {len(names)} columns: numbers are written like 1234.5,"
            " without separators",
        )
    return Row(number, dict(zip(names, cells, strict=False)))


def _cells(line: str, delimiter: str) -> list[str]:
    (cells,) = csv.reader([line], delimiter=delimiter, skipinitialspace=True, strict=True)
    return [_FORMULA.sub(r"\1", cell.strip()) for cell in cells]


def _plain(name: str) -> str:
    return name.strip().casefold()
