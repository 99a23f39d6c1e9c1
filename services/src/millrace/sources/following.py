"""Following a file that others append lines to: each line is read once, also after rotation.

The file may be renamed while some writers still have it open, copied and truncated, or compressed.
A file is identified by its inode and by the bytes before the position up to which it is read; a
copy or a compressed form only by these bytes. Each poll reads all known files, the oldest first, as
long as they are beside the newest one, and new files that were written to later than everything
that was read. Other files that are beside it at the first poll are not read. While a file cannot be
unpacked yet, reading others does not make it count as old.
"""

import os
from pathlib import Path
from typing import NamedTuple

from millrace.sources import jsonlines, packed
from millrace.sources.base import Rejected
from millrace.sources.candidates import OPEN, Candidates, is_helper, is_rotated
from millrace.sources.jsonlines import Record
from millrace.sources.marks import (
    SECOND_NS,
    SETTLED_NS,
    File,
    Mark,
    Reader,
    Unreadable,
    begin_alike,
    digest,
)

CHUNK = 4 * 1024 * 1024
"""Bytes per poll; longer lines are skipped. Even, because of UTF-16."""
MOST_FILES = 32
"""Maximum number of marks of files that are older than all unread ones."""
NOT_READ = (
    "it is not read: if it is what the file was before, give it the file's name and a number or a"
    " date, as usage.jsonl.1 or usage.jsonl.1.gz (or .bz2, .xz); if not, move it elsewhere"
)
QUIET_SECONDS = 10.0
"""A renamed file that was not written to for so long gets no more bytes of its last line."""


class Found(NamedTuple):
    """A file to read, and the position to read from."""

    path: Path
    status: os.stat_result
    mark: Mark | None
    """None: read from the beginning."""


class Reading(NamedTuple):
    """The result of one poll."""

    records: list[Record]
    marks: list[Mark]
    written: int
    lost: list[Rejected]
    """Lines that may have been lost, and lines that are too long."""
    has_more: bool = False
    """Whether it ended before everything was read, because of its size."""


class Following:
    """Reads new lines of a file and its rotated predecessors."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._reader = Reader(path)
        self._candidates = Candidates(path)
        self._told: set[int] = set()
        """Inodes of files that were reported as unreadable."""
        self._fresh: set[Path] = set()
        """Files that may still be written to."""

    def begun(self) -> int:
        """The initial `written`: files of other names are older than this."""
        return max([1, *(one.status.st_mtime_ns for one in self._candidates.siblings())])

    def look(self, marks: list[Mark], written: int, now: float) -> Reading:
        """The lines after the marks, the oldest file's first, at most CHUNK bytes.

        `written` is when the read files were written last, in nanoseconds since 1970; 0 if unknown.
        Raises FileNotFoundError if there is no file, other OSErrors if it cannot be read.
        """
        newest = max((mark.written for mark in marks), default=0)
        there = self._candidates.all(newest)
        self._told &= {file.status.st_ino for file in there}
        ages = {file.path: _nanoseconds(now) - file.status.st_mtime_ns for file in there}
        self._fresh = {path for path, age in ages.items() if abs(age) < SETTLED_NS}
        self._reader.broken.clear()
        found: list[Found] = []
        kept: list[Mark] = []
        lost: list[Rejected] = []
        for mark in marks:
            free = [one for one in there if one.path not in {known.path for known in found}]
            if place := self._reader.place(mark, free):
                found.append(Found(*place, mark))
            elif self._is_unfinished():
                # The unfinished file may be its compressed form.
                kept.append(mark)
            elif mark is marks[-1] or mark.written + SETTLED_NS > newest:
                lost.append(self._lost(mark))
        # If the clock was set back, files that are written from now on still count as later.
        times = [min(one.status.st_mtime_ns, _nanoseconds(now)) for one in found]
        since = written or max(times, default=0)
        found += self._new(found, there, since, lost)
        found.sort(key=lambda one: one.path == self._path)
        self._candidates.hold(File(*one[:2]) for one in found if not packed.is_packed(one.path))
        if not found and not lost:
            raise FileNotFoundError(self._path)
        reading = self._read(found, kept, since, lost, now)
        is_there = self._path in ages
        return reading if is_there or reading.records else self._without(found, reading, now)

    def _is_unfinished(self) -> bool:
        """Whether a file cannot be unpacked yet."""
        return not self._fresh.isdisjoint(self._reader.broken)

    def _name(self, path: Path) -> str:
        return self._path.name if path.parent == OPEN else path.name

    def _new(
        self, found: list[Found], there: list[File], since: int, lost: list[Rejected]
    ) -> list[Found]:
        """The unread files that are not copies of known ones."""
        known = {one.path for one in found}
        live = [one for one in there if one.path == self._path and one.path not in known]
        new = [Found(*one, None) for one in live]
        paths = [one.path for one in found + new]
        for path, status in sorted(there, key=lambda one: one.status.st_mtime_ns):
            is_old = not since or status.st_mtime_ns <= since
            is_before = is_rotated(path, self._path)
            is_passed_over = status.st_ino in self._told or is_helper(path, self._path)
            if path in known or is_old or (is_passed_over and not is_before):
                continue
            try:
                head = self._reader.around(path, 0, packed.TAIL)[1]
            except packed.Broken:
                if path not in self._fresh:
                    self._report(path, status, "it cannot be unpacked", lost)
                continue
            except Unreadable:
                if is_before:
                    new.append(Found(path, status, None))
                continue
            if not head or any(self._is_copy(path, head, other) for other in paths):
                continue
            if not is_before:
                self._report(path, status, NOT_READ, lost)
                continue
            paths.append(path)
            new.append(Found(path, status, None))
        return new

    def _is_copy(self, path: Path, head: bytes, other: Path) -> bool:
        """Whether a file with this head equals another one, as far as both go."""
        if not begin_alike(head, self._reader.head(other)):
            return False
        return begin_alike(self._reader.head(path, CHUNK), self._reader.head(other, CHUNK))

    def _report(self, path: Path, status: os.stat_result, why: str, lost: list[Rejected]) -> None:
        """Report a problem with a file once."""
        if status.st_ino not in self._told:
            self._told.add(status.st_ino)
            lost.append(Rejected(self._name(path), why))

    def _read(
        self,
        found: list[Found],
        marks: list[Mark],
        written: int,
        lost: list[Rejected],
        now: float,
    ) -> Reading:
        records: list[Record] = []
        left = CHUNK
        until = _nanoseconds(now)
        read: list[Found] = []
        """Files that are read to their end."""
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
                if path not in self._fresh:
                    self._report(path, status, f"it cannot be unpacked behind byte {offset}", lost)
                elif mark:
                    marks.append(mark)
                continue
            except Unreadable as error:
                self._report(path, status, f"it cannot be read: {error}", lost)
                # Reading continues from here once the file is readable.
                marks.append(mark or Mark(status.st_ino, 0, digest(b""), changed))
                continue
            if mark and digest(before) != mark.tail:
                # The file was truncated meanwhile, which the next poll finds out.
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
            left -= part.size
            if not is_end or (is_inside and part.size):
                waiting, has_more = found[number + 1 :], True
                break
            read.append(found[number])
        else:
            waiting, has_more = [], False
        marks += [one.mark for one in waiting if one.mark]
        if not self._is_unfinished():
            times = [min(one.status.st_mtime_ns, until) for one in found if one not in waiting]
            # Waiting files may be compressed before their turn, and must not count as older then.
            unread = [one.status.st_mtime_ns - SECOND_NS for one in waiting if not one.mark]
            written = max(written, min([max(times, default=0), *unread]))
        return Reading(records, self._needed(marks, read, written), written, lost, has_more)

    def _needed(self, marks: list[Mark], read: list[Found], written: int) -> list[Mark]:
        """The marks without those of old files that are completely read."""
        old = {
            one.status.st_ino: one.path
            for one in read
            if one.path != self._path and one.status.st_mtime_ns <= written
        }
        # Compressed files do not grow.
        growing = [mark for mark in marks if not packed.is_packed(old.get(mark.inode, self._path))]
        spare = [mark for mark in growing if mark.inode in old][:-MOST_FILES]
        return [mark for mark in growing if mark not in spare]

    def _without(self, found: list[Found], reading: Reading, now: float) -> Reading:
        """The reading without removed files, if they were not written to for long."""
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


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 10**9)
