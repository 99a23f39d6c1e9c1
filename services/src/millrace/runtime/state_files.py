"""Small files that survive a crash: whole, or as they were."""

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import msgspec
import structlog

from millrace.errors import MillraceError

log = structlog.get_logger(__name__)

T = TypeVar("T")

NO_SYNC = (errno.EINVAL, errno.ENOTSUP)
"""What a file system answers that cannot sync a directory, as some do that are FUSE or shared."""


class StateUnusable(MillraceError):
    """The state directory cannot be read or written, or belongs to another process."""


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file so that a crash leaves the old content or the new, never half.

    Once it returns, a crash leaves the new: its name is on the disk, too, where the file system
    can say so.
    """
    temporary = path.with_suffix(".new")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _keep_names(path.parent)
    except OSError as error:
        raise StateUnusable(f"cannot write {path}: {error.strerror}") from None


def read_state(path: Path) -> bytes | None:
    """What a file holds; None if there is none. StateUnusable if it cannot be read."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StateUnusable(f"cannot read {path}: {error.strerror}") from None


def load_state(path: Path, kind: type[T], forgotten: str) -> T | None:
    """The JSON of a file as such a value; None if there is none, or if it is damaged.

    `forgotten` is what follows from that, for the log. StateUnusable if it cannot be read.
    """
    content = read_state(path)
    if content is None:
        return None
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        log.warning("state is damaged", file=str(path), reason=str(error), forgotten=forgotten)
        return None


def _keep_names(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in NO_SYNC:
            raise
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def locked(path: Path, *, patient: bool = False) -> Iterator[None]:
    """Hold a lock file; if another process does, wait for it if patient, else StateUnusable.

    The kernel gives the lock back when its process ends, however it ends.
    """
    with contextlib.ExitStack() as held:
        try:
            file = held.enter_context(path.open("w"))
            fcntl.flock(file, fcntl.LOCK_EX | (0 if patient else fcntl.LOCK_NB))
        except BlockingIOError:
            raise StateUnusable(f"another process works with the state in {path.parent}") from None
        except OSError as error:
            raise StateUnusable(f"cannot lock {path}: {error.strerror}") from None
        yield
