"""An operator's overrides of declared settings, stored beside the state across restarts."""

import contextlib
from collections.abc import Callable
from pathlib import Path

import msgspec

from millrace.runtime.state_files import StateUnusable, locked, write_atomically

FILE, LOCK = "control.json", "control.lock"


class Overrides(msgspec.Struct, frozen=True):
    """The current overrides. None: as declared."""

    number: int = 0
    """Number of commands so far: a producer reports the number that it has applied."""
    paused: bool = False
    interval_seconds: float | None = None
    rate_per_second: float | None = None
    runs: int = 0
    """Number of requested extra polls."""


def read(directory: Path) -> Overrides:
    """The overrides; raises StateUnusable if they cannot be read."""
    path = directory / FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=Overrides)
    except FileNotFoundError:
        return Overrides()
    except (OSError, msgspec.DecodeError):
        raise StateUnusable(f"cannot read {path}: remove it, and give the commands again") from None


def change(
    directory: Path, command: Callable[[Overrides], Overrides], *, check: bool
) -> tuple[Overrides, bool]:
    """Apply a command, or none with `check`; return the resulting overrides and whether they
    changed.

    A command that changes nothing is not stored. Concurrent commands are serialised.
    """
    with contextlib.nullcontext() if check else locked(directory / LOCK, patient=True):
        before = read(directory)
        after = command(before)
        if after == before:
            return before, False
        after = msgspec.structs.replace(after, number=before.number + 1)
        if not check:
            write_atomically(directory / FILE, msgspec.json.encode(after))
        return after, True
