"""Small files that survive a crash: whole, or as they were."""

import os
from pathlib import Path

from millrace.errors import MillraceError


class StateUnusable(MillraceError):
    """The state directory cannot be written."""


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file so that a crash leaves the old content or the new, never half."""
    temporary = path.with_suffix(".new")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise StateUnusable(f"cannot write {path}: {error.strerror}") from None
