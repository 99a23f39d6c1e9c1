"""How far a file is read, and which file that is by now."""

import contextlib
import hashlib
import os
from pathlib import Path
from typing import NamedTuple

import msgspec

from millrace.sources import packed

LARGEST = 1024**3
"""Bytes that are unpacked at most to find where reading goes on."""
SETTLED_NS = 600 * 10**9
"""Others were written to for so long, and this one was not: all of it is read. Nor is anything
being compressed any more that was not written to for so long."""
ENOUGH = 256
"""Bytes that tell one file from another: the beginnings of all answers are alike."""
SECOND_NS = 10**9
"""Some who compress keep the time of a file in whole seconds."""


class Mark(msgspec.Struct, frozen=True):
    """How far a file is read, and a digest of the bytes before."""

    inode: int
    offset: int
    tail: str
    written: int = 0
    """When it was written to last, as of the last look: nanoseconds since 1970."""
    lines: int | None = None
    """How many lines are read of it; None: nobody has counted them."""
    inside: bool = False
    """Whether it is read up to within a line that is too long."""


class File(NamedTuple):
    """A file that is there."""

    path: Path
    status: os.stat_result


class Unreadable(Exception):
    """A file is there, and the system refuses to read it. The text says why."""


class Reader:
    """Reads the bytes of one file, and of what lies beside it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.broken: set[Path] = set()
        """What could not be unpacked since somebody emptied it."""

    def around(self, path: Path, offset: int, most: int) -> tuple[bytes, bytes]:
        """See packed.around; Unreadable in place of OSError, but of the file itself.

        FileNotFoundError of any: it was renamed meanwhile, and the next look finds it.
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
        """The first bytes; none of what cannot be read."""
        try:
            return self.around(path, 0, most)[1]
        except (packed.Broken, Unreadable):
            return b""

    def place(self, mark: Mark, there: list[File]) -> File | None:
        """Where what a mark is of is by now."""
        return self._same(mark, there) or self._like(mark, there)

    def _same(self, mark: Mark, there: list[File]) -> File | None:
        """The file itself, wherever it is, also where nobody may look into it now."""
        for file in there:
            if file.status.st_ino == mark.inode:
                try:
                    if self._is_at(mark, file.path):
                        return file
                except Unreadable:
                    return file
        return None

    def _like(self, mark: Mark, there: list[File]) -> File | None:
        """A file that has the same before the mark: a copy, or what it was compressed to."""
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
    """Whether files with these heads are one. Of a few bytes nobody can say it: better twice."""
    length = min(len(one), len(other))
    return one[:length] == other[:length] and (length >= ENOUGH or len(one) == len(other))


def digest(data: bytes) -> str:
    """What is kept of some bytes."""
    return hashlib.sha256(data).hexdigest()
