# SPDX-License-Identifier: Apache-2.0
"""Files that are replaced atomically and survive a crash of the machine.

Ansible's `atomic_move` renames without syncing the file to disk.
"""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

NO_SYNC = (errno.EINVAL, errno.ENOTSUP)
"""Errors of file systems that cannot sync a directory, such as some FUSE or shared ones."""


def replace(
    path: Path, content: bytes, *, mode: int = 0o600, owner: tuple[int, int] | None = None
) -> None:
    """Write a file, with a numeric user and group: a reader sees the old content or the new.

    When it returns, the new content is on the disk, and its name too, if the file system supports
    that. The directory must exist.
    """
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            if owner is not None:
                os.fchown(descriptor, *owner)
            os.fchmod(descriptor, mode)
            file.flush()
            os.fsync(descriptor)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    keep_names(path.parent)


def keep_names(directory: Path) -> None:
    """Sync a directory's entries to disk, if the file system supports it."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in NO_SYNC:
            raise
    finally:
        os.close(descriptor)
