"""CSV as others write it: with commas, semicolons or tabs, in UTF-8 or UTF-16, also compressed.

Each line is a row by itself, so that an unclosed quotation mark does not affect others.
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
"""The formula by which exports make spreadsheets treat a cell as text."""


class NoTable(MillraceError):
    """A file from which no row can be read."""


class Row(NamedTuple):
    """A row and its line."""

    line: int
    cells: Mapping[str, str]
    problem: str | None = None
    """Why the columns of the row cannot be told apart."""

    def read(self, name: str, meaning: Callable[[str], T]) -> T:
        """The converted cell of a column; a ValueError names the column."""
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
    """The rows that are not empty; raises NoTable if the file lacks the columns."""
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
    """The lines, with any line end; undecodable bytes become surrogates."""
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
    """The separator, and the normalised names of the columns."""
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
