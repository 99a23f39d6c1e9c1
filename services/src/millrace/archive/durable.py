"""Files that are on the disk before a table says that they are its own.

The catalog's commit is durable at once. Files whose content is still in memory then would be lost
with the power, and with them the table, whose offsets say that it has their rows.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyiceberg.io.pyarrow import PyArrowFile, PyArrowFileIO


class DurableFileIO(PyArrowFileIO):
    """PyIceberg's files in a folder of this machine, synced when they are closed."""

    def new_output(self, location: str) -> PyArrowFile:
        """See FileIO."""
        scheme, netloc, path = self.parse_location(location)
        return _File(location=location, path=path, fs=self.fs_by_scheme(scheme, netloc))


class _File(PyArrowFile):
    def create(self, overwrite: bool = False) -> Any:
        if not overwrite and self.exists():
            raise FileExistsError(f"Cannot create file, already exists: {self.location}")
        path = Path(self._path)
        folders = _make_folder(path.parent)
        file = _Synced(self._path, mode="wb")
        file.synced = [path, path.parent, *folders]
        return file

    def to_input_file(self) -> PyArrowFile:
        return PyArrowFile(location=self.location, path=self._path, fs=self._filesystem)


class _Synced(pa.OSFile):  # type: ignore[misc]
    """A file that is on the disk, under its name, once it is closed."""

    synced: Sequence[Path] = ()
    """The file, and the folders in which a name is new."""

    def close(self) -> None:
        """See NativeFile."""
        if not self.closed:
            super().close()
            for path in self.synced:
                sync(path)


def _make_folder(folder: Path) -> list[Path]:
    """Make a folder, and return those that have a new name in them."""
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    return [one.parent for one in missing]


def sync(path: Path) -> None:
    """Return when what a path names is on the disk: a file's content, or a folder's names."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
