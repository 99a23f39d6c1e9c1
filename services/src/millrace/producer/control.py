"""What a person has told a producer: kept beside its state, so that it holds after a restart."""

import contextlib
from collections.abc import Callable
from pathlib import Path

import msgspec

from millrace.runtime.state_files import StateUnusable, locked, write_atomically

FILE, LOCK = "control.json", "control.lock"


class Control(msgspec.Struct, frozen=True):
    """The orders that are in force. None: as it was declared."""

    number: int = 0
    """How many orders were given: a producer says which it has noticed."""
    paused: bool = False
    interval_seconds: float | None = None
    rate_per_second: float | None = None
    runs: int = 0
    """How many polls out of turn were asked for."""


def read(directory: Path) -> Control:
    """The orders; StateUnusable if they cannot be read."""
    path = directory / FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=Control)
    except FileNotFoundError:
        return Control()
    except (OSError, msgspec.DecodeError):
        raise StateUnusable(f"cannot read {path}: remove it, and give the orders again") from None


def change(
    directory: Path, order: Callable[[Control], Control], *, check: bool
) -> tuple[Control, bool]:
    """Give an order, or with `check` none: what is in force then, and whether that is new.

    An order that changes nothing is not written. Two people may give orders at the same time.
    """
    with contextlib.nullcontext() if check else locked(directory / LOCK, patient=True):
        before = read(directory)
        after = order(before)
        if after == before:
            return before, False
        after = msgspec.structs.replace(after, number=before.number + 1)
        if not check:
            write_atomically(directory / FILE, msgspec.json.encode(after))
        return after, True
