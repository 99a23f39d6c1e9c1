"""Where the lines of a followed file may be: in itself, in what lies beside it, in what is open.

Who writes goes on with a file that has no name any more, as where it is compressed before all have
reopened, or one that does not begin with the newest's. So what is read stays open, and is read
until others were written to for a while.
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
"""What those who rename files add to the name."""
_HELPER = re.compile(r"\.(sw[a-z]|tmp|lock|lck|part|pid|idx|offset|pos)|.*\.(tmp|part)")
"""What editors and programs add for a file of their own, which has no lines."""


def is_rotated(path: Path, live: Path) -> bool:
    """Whether it is called like a file that had the name of the live one."""
    return bool(_ROTATED.fullmatch(path.name[len(live.name) :]))


def is_helper(path: Path, live: Path) -> bool:
    """Whether it is called like what a program keeps beside the live file for itself."""
    return bool(_HELPER.fullmatch(path.name[len(live.name) :]))


class Candidates:
    """Finds them at each look, and holds open what is read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._open: dict[int, int] = {}
        weakref.finalize(self, _close, self._open)

    def siblings(self) -> list[File]:
        """What lies beside the file, and has a name that begins with its name."""
        siblings = self._path.parent.glob(f"{glob.escape(self._path.name)}?*")
        return [File(path, path.stat()) for path in siblings if path.is_file()]

    def all(self, newest: int) -> list[File]:
        """Also the file itself, and what is open here and lies elsewhere or nowhere by now, unless
        it is complete: nobody has written to it for long, compared with the newest time of others.
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
        """Have these open, and no others."""
        paths = {one.status.st_ino: one.path for one in read}
        for inode in self._open.keys() - paths.keys():
            os.close(self._open.pop(inode))
        for inode in paths.keys() - self._open.keys():
            # One that cannot be read is told where it is read.
            with contextlib.suppress(PermissionError):
                self._open[inode] = os.open(paths[inode], os.O_RDONLY)


def _close(files: dict[int, int]) -> None:
    for file in files.values():
        os.close(file)
