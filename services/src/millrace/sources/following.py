"""Following a file that others append lines to: each line once, whatever becomes of the file.

It may be renamed, while some of its writers have it open still; copied and cut off; compressed. A
file is known by its inode and by the bytes before the place up to which it is read. By these alone
a copy of it is known, and what it was compressed to. All that are known are read at each look, the
oldest first, as long as they lie beside the newest; and those that were not there before and were
written to later than all that was read. What lay beside it at the first look is not read.

Who writes goes on with a file that has no name any more, as where it is compressed before all have
reopened, or one that does not begin with the newest's. So what is read stays open, and is read
until others were written to for a while.
"""

import contextlib
import glob
import math
import os
import re
import weakref
from pathlib import Path
from typing import NamedTuple

from millrace.sources import jsonlines, packed
from millrace.sources.base import Rejected
from millrace.sources.jsonlines import Record
from millrace.sources.marks import File, Mark, Reader, Unreadable, begin_alike, digest

CHUNK = 4 * 1024 * 1024
"""Bytes of a look; no line is longer. An even number, as of UTF-16."""
MOST_FILES = 32
QUIET_SECONDS = 10.0
"""Nobody ends a line in a file any more that was renamed and then not written to for so long."""
SETTLED_NS = 600 * 10**9
"""Others were written to for so long, and this one was not: all of it is read."""
OPEN = Path("/proc/self/fd")
_ROTATED = re.compile(
    r"[._-](\d[\d._:TZ+-]*|old|(bak|rot)\d*)([._-](old|bak|log))?(\.gz|\.bz2|\.xz)?"
)
"""What those who rename files add to the name."""


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
        self._reader = Reader(path)
        self._open: dict[int, int] = {}
        self._told: set[int] = set()
        """Files of which it is said that they cannot be read."""
        weakref.finalize(self, _close, self._open)

    def begun(self) -> int:
        """The `written` of who begins: what lies there by another name is older."""
        return max((file.status.st_mtime_ns for file in self._siblings()), default=0) or 1

    def look(self, marks: list[Mark], written: int, now: float) -> Reading:
        """The lines behind some marks, the oldest file's first, CHUNK bytes at most.

        `written` is when what was read was written last, in nanoseconds since 1970; 0 where it is
        not known. FileNotFoundError if there is no file, other OSErrors if it cannot be read.
        """
        newest = max((mark.written for mark in marks), default=0)
        there = self._siblings()
        if is_there := self._path.exists():
            there.append(File(self._path, self._path.stat()))
        there += self._elsewhere(there, newest)
        self._told &= {file.status.st_ino for file in there}
        found: list[Found] = []
        lost: list[Rejected] = []
        for mark in marks:
            free = [one for one in there if one.path not in {known.path for known in found}]
            if place := self._reader.place(mark, free):
                found.append(Found(*place, mark))
            elif mark is marks[-1] or mark.written + SETTLED_NS > newest:
                lost.append(self._lost(mark))
        # A clock may have been set back: what is written from now on is later nevertheless.
        times = [min(one.status.st_mtime_ns, _nanoseconds(now)) for one in found]
        found += self._new(found, there, written or max(times, default=None), lost)
        found.sort(key=lambda one: one.path == self._path)
        self._hold(found)
        if not found and not lost:
            raise FileNotFoundError(self._path)
        reading = self._read(found, written, lost, now)
        return reading if is_there or reading.records else self._without(found, reading, now)

    def _siblings(self) -> list[File]:
        siblings = self._path.parent.glob(f"{glob.escape(self._path.name)}?*")
        return [File(path, path.stat()) for path in siblings if path.is_file()]

    def _elsewhere(self, there: list[File], newest: int) -> list[File]:
        """What is open here and lies not here any more, unless it is complete."""
        known = {file.status.st_ino for file in there}
        files = [File(OPEN / str(file), os.fstat(file)) for file in self._open.values()]
        return [
            file
            for file in files
            if file.status.st_ino not in known and file.status.st_mtime_ns + SETTLED_NS > newest
        ]

    def _name(self, path: Path) -> str:
        return self._path.name if path.parent == OPEN else path.name

    def _hold(self, found: list[Found]) -> None:
        plain = {one.status.st_ino: one.path for one in found if not packed.is_packed(one.path)}
        for inode in self._open.keys() - plain.keys():
            os.close(self._open.pop(inode))
        for inode in plain.keys() - self._open.keys():
            # One that cannot be read is told where it is read.
            with contextlib.suppress(PermissionError):
                self._open[inode] = os.open(plain[inode], os.O_RDONLY)

    def _new(
        self, found: list[Found], there: list[File], since: int | None, lost: list[Rejected]
    ) -> list[Found]:
        """The files that nobody has read: they are no copies of those that are known."""
        known = {one.path for one in found}
        live = [one for one in there if one.path == self._path and one.path not in known]
        new = [Found(*one, None) for one in live]
        heads = [self._reader.head(one.path) for one in found + new]
        for path, status in sorted(there, key=lambda one: one.status.st_mtime_ns):
            is_rotated = _ROTATED.fullmatch(path.name[len(self._path.name) :])
            if path in known or not is_rotated or since is None or status.st_mtime_ns <= since:
                continue
            try:
                head = self._reader.around(path, 0, packed.TAIL)[1]
            except packed.Unfinished:
                continue
            except packed.Broken:
                self._tell(path, status, "it cannot be unpacked", lost)
                continue
            except Unreadable:
                new.append(Found(path, status, None))
                continue
            is_copy = any(begin_alike(head, other) for other in heads)
            if head and not is_copy and status.st_ino not in self._told:
                heads.append(head)
                new.append(Found(path, status, None))
        return new

    def _tell(self, path: Path, status: os.stat_result, why: str, lost: list[Rejected]) -> None:
        """Say once what is wrong with a file."""
        if status.st_ino not in self._told:
            self._told.add(status.st_ino)
            lost.append(Rejected(self._name(path), why))

    def _read(self, found: list[Found], written: int, lost: list[Rejected], now: float) -> Reading:
        records: list[Record] = []
        marks: list[Mark] = []
        left = CHUNK
        until, over = _nanoseconds(now), {}
        for number, (path, status, mark) in enumerate(found):
            has_later = any(other.status.st_size for other in found[number + 1 :])
            is_quiet = not 0 <= now - status.st_mtime < QUIET_SECONDS
            is_over = packed.is_packed(path) or (has_later and is_quiet)
            offset = mark.offset if mark else 0
            counted = mark.lines if mark and mark.offset else 0
            name, changed = self._name(path), min(status.st_mtime_ns, until)
            try:
                before, data = self._reader.around(path, offset, left)
            except packed.Broken:
                self._tell(path, status, f"it cannot be unpacked behind byte {offset}", lost)
                continue
            except Unreadable as error:
                self._tell(path, status, f"it cannot be read: {error}", lost)
                # It is read from there once it can be.
                marks.append(mark or Mark(status.st_ino, 0, digest(b""), changed))
                continue
            if mark and digest(before) != mark.tail:
                # Cut off since it was looked at: the next look finds out.
                marks.append(mark)
                continue
            is_end = len(data) < left
            encoding = jsonlines.encoding(self._reader.head(path))
            is_inside = bool(mark and mark.inside)
            if is_inside:
                part = jsonlines.skip(data, encoding, counted)
            else:
                whole = {"is_over": is_end and is_over, "is_all": is_end and is_quiet}
                part = jsonlines.read(data, encoding, name, offset, counted, behind=before, **whole)
            if not part.size and not is_end and left == CHUNK:
                why = f"it is longer than {CHUNK} bytes, and passed over: write one answer a line"
                lost.append(Rejected(jsonlines.place(name, counted, offset), why))
                part = jsonlines.skip(data, encoding, counted)
            records += part.records
            tail = digest((before + data[: part.size])[-packed.TAIL :])
            at = offset + part.size
            marks.append(Mark(status.st_ino, at, tail, changed, part.lines, part.inside))
            over[status.st_ino] = status.st_mtime_ns if packed.is_packed(path) else math.inf
            left -= part.size
            if not is_end or (is_inside and part.size):
                marks += [other.mark for other in found[number + 1 :] if other.mark]
                return Reading(records, marks[-MOST_FILES:], written, lost)
        # All is read. What is compressed does not grow, and is older than what is not read.
        written = max([written, *(min(one.status.st_mtime_ns, until) for one in found)])
        marks = [mark for mark in marks if over.get(mark.inode, math.inf) > written]
        return Reading(records, marks[-MOST_FILES:], written, lost)

    def _without(self, found: list[Found], reading: Reading, now: float) -> Reading:
        """The same without what was removed, if nobody has written to it for long."""
        sizes = {
            status.st_ino: status.st_size
            for _, status, _ in found
            if not status.st_nlink and status.st_mtime_ns + SETTLED_NS < _nanoseconds(now)
        }
        gone = [mark for mark in reading.marks if mark.inode in sizes]
        lost = [self._lost(mark) for mark in gone if mark.offset < sizes[mark.inode]]
        marks = [mark for mark in reading.marks if mark not in gone]
        return reading._replace(marks=marks, lost=reading.lost + lost)

    def _lost(self, mark: Mark) -> Rejected:
        return Rejected(
            self._path.name,
            f"what was written behind byte {mark.offset}, if anything, is not known: the file was"
            " removed, cut off, renamed to what does not begin with its name, or compressed to none"
            " of .gz, .bz2 and .xz",
        )


def _close(files: dict[int, int]) -> None:
    for file in files.values():
        os.close(file)


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 10**9)
