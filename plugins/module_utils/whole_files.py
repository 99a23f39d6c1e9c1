# SPDX-License-Identifier: Apache-2.0
"""Files that are replaced in one step, and that a crash of the machine does not take back.

Ansible's `atomic_move` renames without having the disk keep what it renames.
"""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

NO_SYNC = (errno.EINVAL, errno.ENOTSUP)
"""What a file system answers that cannot sync a directory, as some do that are FUSE or shared."""


def replace(
    path: Path, content: bytes, *, mode: int = 0o600, owner: tuple[int, int] | None = None
) -> None:
    """Write a file, of a numeric user and group: a reader sees the old content or the new.

    Once it returns, the new is on the disk, and its name too, where the file system can say so.
    Its directory must be there.
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
    """Have the disk keep which files a directory has, where the file system can."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in NO_SYNC:
            raise
    finally:
        os.close(descriptor)
