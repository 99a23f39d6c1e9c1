"""Files that may contain lines of a followed file: itself, files beside it, and files held open.

A writer may still write to a file that has no name any more, because it was compressed before all
writers reopened it, or to one whose name does not begin with the live file's. So files that are
read are held open, and read until others have been written to for a while.
"""

import contextlib
import glob
import os
import re
import weakref
from collections.abc import Iterable
from pathlib import Path

from millrace.sources.marks import SETTLED_NS, File

OPEN = Path("/proc/self/fd")
_PART = (
    r"W?\d[\d:TZhW+]*|jan|feb|mar|apr|may|june?|july?|aug|sept?|oct|nov|dec"
    r"|old|prev|previous|save|archived?|backup|rotated|processed|log|(bak|rot)\d*"
)
_ROTATED = re.compile(rf"~|([._-]({_PART}))+(\.gz|\.bz2|\.xz)?", re.IGNORECASE)
"""Suffixes that rotation adds to a name."""
_HELPER = re.compile(r"\.(sw[a-z]|tmp|lock|lck|part|pid|idx|offset|pos)|.*\.(tmp|part)")
"""Suffixes of editors' and programs' own files, which have no lines."""


def is_rotated(path: Path, live: Path) -> bool:
    """Whether the name is that of a rotated file."""
    return bool(_ROTATED.fullmatch(path.name[len(live.name) :]))


def is_helper(path: Path, live: Path) -> bool:
    """Whether the name is that of a program's own file beside the live one."""
    return bool(_HELPER.fullmatch(path.name[len(live.name) :]))


class Candidates:
    """Finds the files at each poll, and holds those that are read open."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._open: dict[int, int] = {}
        weakref.finalize(self, _close, self._open)

    def siblings(self) -> list[File]:
        """The files beside the live one whose names begin with its name."""
        siblings = self._path.parent.glob(f"{glob.escape(self._path.name)}?*")
        return [File(path, path.stat()) for path in siblings if path.is_file()]

    def all(self, newest: int) -> list[File]:
        """All candidates: also the live file, and open files that were moved or removed, unless
        they are complete, that is, not written to for long, compared with the newest time of
        others.
        """
        there = self.siblings()
        if self._path.exists():
            there.append(File(self._path, self._path.stat()))
        known = {file.status.st_ino for file in there}
        files = [File(OPEN / str(file), os.fstat(file)) for file in self._open.values()]
        return there + [
            file
            for file in files
            if file.status.st_ino not in known and file.status.st_mtime_ns + SETTLED_NS > newest
        ]

    def hold(self, read: Iterable[File]) -> None:
        """Hold these files open, and no others."""
        paths = {one.status.st_ino: one.path for one in read}
        for inode in self._open.keys() - paths.keys():
            os.close(self._open.pop(inode))
        for inode in paths.keys() - self._open.keys():
            # A file that cannot be read is reported when it is read.
            with contextlib.suppress(PermissionError):
                self._open[inode] = os.open(paths[inode], os.O_RDONLY)


def _close(files: dict[int, int]) -> None:
    for file in files.values():
        os.close(file)
