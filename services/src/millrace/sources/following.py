"""Following a file that others append lines to: each line once, whatever becomes of the file.

It may be renamed, while some of its writers have it open still; copied and cut off; compressed. A
file is known by its inode and by the bytes before the place up to which it is read. By these alone
a copy of it is known, and what it was compressed to. All that are known are read at each look, the
oldest first, as long as they lie beside the newest; and those that were not there before and were
written to later than all that was read. What lay beside it at the first look is not read.

Who writes goes on with a file that has no name any more, as where it is compressed before all have
reopened. So what is read stays open, and is read until others were written to for a while.
"""

import glob
import hashlib
import os
import re
import weakref
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import msgspec

from millrace.sources import jsonlines, packed
from millrace.sources.base import Rejected
from millrace.sources.jsonlines import Record

CHUNK = 4 * 1024 * 1024
"""Bytes of a look; no line is longer. An even number, as of UTF-16."""
MOST_FILES = 32
QUIET_SECONDS = 10.0
"""Nobody ends a line in a file any more that was renamed and then not written to for so long."""
SETTLED_NS = 600 * 10**9
"""Others were written to for so long, and this one was not: all of it is read."""
LARGEST = 1024**3
"""Bytes that are unpacked at most to find where reading goes on."""
_ROTATED = re.compile(r"[.-](\d[\d._:T-]*|old)(\.gz|\.bz2|\.xz)?")
"""What those who rename files add to the name."""
_SECOND_NS = 10**9
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


class Found(NamedTuple):
    """A file to read, and from where."""

    path: Path
    status: os.stat_result
    mark: Mark | None
    """None: from its beginning."""


class Reading(NamedTuple):
    """What one look brought."""

    records: list[Record]
    marks: list[Mark]
    written: int
    lost: list[Rejected]
    """What may have been written and cannot be read any more, and lines that are too long."""


class Following:
    """Reads what a file, and those that it was before, have more."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._open: dict[int, int] = {}
        weakref.finalize(self, _close, self._open)

    def begun(self) -> int:
        """The `written` of who begins: what lies there by another name is older."""
        return max((status.st_mtime_ns for _, status in self._siblings()), default=0) or 1

    def look(self, marks: list[Mark], written: int, now: float) -> Reading:
        """The lines behind some marks, the oldest file's first, CHUNK bytes at most.

        `written` is when what was read was written last, in nanoseconds since 1970; 0 where it is
        not known. FileNotFoundError if there is no file, other OSErrors if one cannot be read.
        """
        newest = max((mark.written for mark in marks), default=0)
        there = self._siblings() + self._nameless(newest)
        if self._path.exists():
            there.append((self._path, self._path.stat()))
        found: list[Found] = []
        lost = []
        for mark in marks:
            free = [one for one in there if one[0] not in {known.path for known in found}]
            place = _same(mark, free) or _like(mark, free)
            if place:
                found.append(Found(*place, mark))
            elif mark is marks[-1] or mark.written + SETTLED_NS > newest:
                lost.append(self._lost(mark))
        since = written or max((known.status.st_mtime_ns for known in found), default=None)
        found += self._new(found, there, since)
        if not found and not lost:
            raise FileNotFoundError(self._path)
        found.sort(key=lambda one: one.path == self._path)
        self._hold(found)
        return self._read(found, written, lost, now)

    def _siblings(self) -> list[tuple[Path, os.stat_result]]:
        siblings = self._path.parent.glob(f"{glob.escape(self._path.name)}?*")
        return [(path, path.stat()) for path in siblings if path.is_file()]

    def _nameless(self, newest: int) -> list[tuple[Path, os.stat_result]]:
        """What is open here and lies nowhere else, unless it is complete."""
        files = [(Path(f"/proc/self/fd/{file}"), os.fstat(file)) for file in self._open.values()]
        return [
            (path, status)
            for path, status in files
            if not status.st_nlink and status.st_mtime_ns + SETTLED_NS > newest
        ]

    def _hold(self, found: list[Found]) -> None:
        plain = {one.status.st_ino: one.path for one in found if not packed.is_packed(one.path)}
        for inode in self._open.keys() - plain.keys():
            os.close(self._open.pop(inode))
        for inode in plain.keys() - self._open.keys():
            self._open[inode] = os.open(plain[inode], os.O_RDONLY | os.O_CLOEXEC)

    def _new(
        self,
        found: list[Found],
        there: list[tuple[Path, os.stat_result]],
        since: int | None,
    ) -> list[Found]:
        """The files that nobody has read: they are no copies of those that are known."""
        known = {one.path for one in found}
        heads = [packed.head(one.path) for one in found]
        new = [Found(*one, None) for one in there if one[0] == self._path and one[0] not in known]
        heads += [packed.head(one.path) for one in new]
        for path, status in sorted(there, key=lambda one: one[1].st_mtime_ns):
            is_rotated = _ROTATED.fullmatch(path.name[len(self._path.name) :])
            if path in known or not is_rotated or since is None or status.st_mtime_ns <= since:
                continue
            head = packed.head(path)
            if head and not any(_begin_alike(head, other) for other in heads):
                heads.append(head)
                new.append(Found(path, status, None))
        return new

    def _read(self, found: list[Found], written: int, lost: list[Rejected], now: float) -> Reading:
        records: list[Record] = []
        marks: list[Mark] = []
        left = CHUNK
        for number, (path, status, mark) in enumerate(found):
            has_later = any(other.status.st_size for other in found[number + 1 :])
            is_quiet = not 0 <= now - status.st_mtime < QUIET_SECONDS
            is_over = packed.is_packed(path) or (has_later and is_quiet)
            offset = mark.offset if mark else 0
            counted = mark.lines if mark and mark.offset else 0
            try:
                before, data = packed.around(path, offset, left)
            except packed.BROKEN:
                lost.append(Rejected(path.name, f"it cannot be unpacked behind byte {offset}"))
                continue
            if mark and _digest(before) != mark.tail:
                # Cut off since it was looked at: the next look finds out.
                marks.append(mark)
                continue
            is_end = len(data) < left
            encoding = jsonlines.encoding(packed.head(path))
            is_inside = bool(mark and mark.inside)
            if is_inside:
                part = jsonlines.skip(data, encoding, counted)
            else:
                whole = {"is_over": is_end and is_over, "is_all": is_end and is_quiet}
                part = jsonlines.read(data, encoding, path.name, offset, counted, **whole)
            if not part.size and not is_end and left == CHUNK:
                why = f"it is longer than {CHUNK} bytes, and passed over: write one answer a line"
                lost.append(Rejected(jsonlines.place(path.name, counted, offset), why))
                part = jsonlines.skip(data, encoding, counted)
            records += part.records
            tail = _digest((before + data[: part.size])[-packed.TAIL :])
            at, changed = offset + part.size, status.st_mtime_ns
            marks.append(Mark(status.st_ino, at, tail, changed, part.lines, part.inside))
            left -= part.size
            if not is_end or (is_inside and part.size):
                marks += [other.mark for other in found[number + 1 :] if other.mark]
                return Reading(records, marks[-MOST_FILES:], written, lost)
        # All is read. What is compressed does not grow, and is older than what is not read.
        over = {status.st_ino for path, status, _ in found if packed.is_packed(path)}
        marks = [mark for mark in marks if mark.inode not in over]
        written = max([written, *(status.st_mtime_ns for _, status, _ in found)])
        return Reading(records, marks[-MOST_FILES:], written, lost)

    def _lost(self, mark: Mark) -> Rejected:
        return Rejected(
            self._path.name,
            f"what was written behind byte {mark.offset}, if anything, is not known: the file was"
            " removed, cut off, or compressed to none of .gz, .bz2 and .xz",
        )


def _close(files: dict[int, int]) -> None:
    for file in files.values():
        os.close(file)


def _same(
    mark: Mark, there: Iterable[tuple[Path, os.stat_result]]
) -> tuple[Path, os.stat_result] | None:
    """The file itself, wherever it is by now."""
    return next(
        (
            (path, status)
            for path, status in there
            if status.st_ino == mark.inode and _is_at(mark, path)
        ),
        None,
    )


def _like(
    mark: Mark, there: Iterable[tuple[Path, os.stat_result]]
) -> tuple[Path, os.stat_result] | None:
    """A file that has the same before the mark: a copy, or what it was compressed to."""
    if not mark.offset:
        return None
    for path, status in sorted(there, key=lambda one: one[1].st_mtime_ns):
        if status.st_mtime_ns < mark.written - _SECOND_NS:
            continue
        largest = LARGEST if packed.is_packed(path) else status.st_size
        if mark.offset <= largest and _is_at(mark, path):
            return path, status
    return None


def _is_at(mark: Mark, path: Path) -> bool:
    try:
        return _digest(packed.around(path, mark.offset, 0)[0]) == mark.tail
    except packed.BROKEN:
        return False


def _begin_alike(one: bytes, other: bytes) -> bool:
    length = min(len(one), len(other))
    return bool(length) and one[:length] == other[:length]


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
