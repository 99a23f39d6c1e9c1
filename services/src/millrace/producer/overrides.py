"""What an operator has set instead of what is declared: kept beside the state, over restarts."""

import contextlib
from collections.abc import Callable
from pathlib import Path

import msgspec

from millrace.runtime.state_files import StateUnusable, locked, write_atomically

FILE, LOCK = "control.json", "control.lock"


class Overrides(msgspec.Struct, frozen=True):
    """What is in force. None: as it was declared."""

    number: int = 0
    """How many commands were given: a producer says which it has noticed."""
    paused: bool = False
    interval_seconds: float | None = None
    rate_per_second: float | None = None
    runs: int = 0
    """How many polls out of turn were asked for."""


def read(directory: Path) -> Overrides:
    """The overrides; StateUnusable if they cannot be read."""
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
    """Carry out a command, or with `check` none: what is in force then, and whether that is new.

    A command that changes nothing is not written. Two people may give commands at the same time.
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
