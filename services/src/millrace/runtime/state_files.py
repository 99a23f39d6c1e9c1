"""Small files that are replaced atomically and survive a crash."""

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
"""Errors of file systems that cannot sync a directory, such as some FUSE or shared ones."""


class StateUnusable(MillraceError):
    """The state directory cannot be read or written, or belongs to another process."""


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file so that a crash leaves either the old content or the new.

    After it returns, a crash leaves the new content; its name is on the disk too, if the file
    system supports that.
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
    """The content of a file; None if there is none. Raises StateUnusable if it is unreadable."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StateUnusable(f"cannot read {path}: {error.strerror}") from None


def load_state(path: Path, kind: type[T], forgotten: str) -> T | None:
    """The value in a JSON file; None if there is none, or if it is damaged.

    `forgotten` describes the consequence, for the log. Raises StateUnusable if it is unreadable.
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
def locked(
    path: Path, *, patient: bool = False, busy: MillraceError | None = None
) -> Iterator[None]:
    """Hold a lock file; if another process does, wait if `patient`, else raise `busy`.

    `busy` is StateUnusable if it is left out.

    The kernel releases the lock when its process ends in any way.
    """
    with contextlib.ExitStack() as held:
        try:
            file = held.enter_context(path.open("w"))
            fcntl.flock(file, fcntl.LOCK_EX | (0 if patient else fcntl.LOCK_NB))
        except BlockingIOError:
            what = f"another process works with the state in {path.parent}"
            raise busy or StateUnusable(what) from None
        except OSError as error:
            raise StateUnusable(f"cannot lock {path}: {error.strerror}") from None
        yield
