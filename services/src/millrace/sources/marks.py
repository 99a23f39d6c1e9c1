"""Positions up to which files are read, and the files that they belong to."""

import contextlib
import hashlib
import os
from pathlib import Path
from typing import NamedTuple

import msgspec

from millrace.sources import packed

LARGEST = 1024**3
"""Maximum number of bytes to unpack to find the position where reading continues."""
SETTLED_NS = 600 * 10**9
"""A file that was not written to for so long, while others were, is complete. Nor is a compressed
file still being written if it was not written to for so long."""
ENOUGH = 256
"""Number of bytes that distinguish files: the beginnings of all answers are similar."""
SECOND_NS = 10**9
"""Some compression programs keep a file's time in whole seconds."""


class Mark(msgspec.Struct, frozen=True):
    """The position up to which a file is read, and a digest of the bytes before it."""

    inode: int
    offset: int
    tail: str
    written: int = 0
    """When the file was last written to, as of the last poll: nanoseconds since 1970."""
    lines: int | None = None
    """Number of lines that are read; None: not counted."""
    inside: bool = False
    """Whether the position is within a line that is too long."""


class File(NamedTuple):
    """An existing file."""

    path: Path
    status: os.stat_result


class Unreadable(Exception):
    """An existing file that the system refuses to read. The text says why."""


class Reader:
    """Reads the bytes of one file and of the files beside it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.broken: set[Path] = set()
        """Files that could not be unpacked since this set was cleared."""

    def around(self, path: Path, offset: int, most: int) -> tuple[bytes, bytes]:
        """See packed.around; raises Unreadable instead of OSError, except for the live file.

        FileNotFoundError for any file: it was renamed meanwhile, and the next poll finds it.
        """
        try:
            return packed.around(path, offset, most)
        except packed.Broken:
            self.broken.add(path)
            raise
        except FileNotFoundError:
            raise
        except OSError as error:
            if path == self._path:
                raise
            raise Unreadable(error.strerror) from None

    def head(self, path: Path, most: int = packed.TAIL) -> bytes:
        """The first bytes; empty for an unreadable file."""
        try:
            return self.around(path, 0, most)[1]
        except (packed.Broken, Unreadable):
            return b""

    def place(self, mark: Mark, there: list[File]) -> File | None:
        """The current path of a mark's file."""
        return self._same(mark, there) or self._like(mark, there)

    def _same(self, mark: Mark, there: list[File]) -> File | None:
        """The file itself, under any name, even if it is unreadable now."""
        for file in there:
            if file.status.st_ino == mark.inode:
                try:
                    if self._is_at(mark, file.path):
                        return file
                except Unreadable:
                    return file
        return None

    def _like(self, mark: Mark, there: list[File]) -> File | None:
        """A file with the same bytes before the mark: a copy, or the compressed form."""
        if not mark.offset:
            return None
        for file in sorted(there, key=lambda one: one.status.st_mtime_ns):
            is_older = file.status.st_mtime_ns < mark.written - SECOND_NS
            is_too_large = packed.is_packed(file.path) and mark.offset > LARGEST
            if is_older or is_too_large:
                continue
            with contextlib.suppress(Unreadable):
                if self._is_at(mark, file.path):
                    return file
        return None

    def _is_at(self, mark: Mark, path: Path) -> bool:
        try:
            return digest(self.around(path, mark.offset, 0)[0]) == mark.tail
        except packed.Broken:
            return False


def begin_alike(one: bytes, other: bytes) -> bool:
    """Whether files with these heads are the same. A few bytes do not suffice: better twice."""
    length = min(len(one), len(other))
    return one[:length] == other[:length] and (length >= ENOUGH or len(one) == len(other))


def digest(data: bytes) -> str:
    """The digest that is stored of some bytes."""
    return hashlib.sha256(data).hexdigest()
