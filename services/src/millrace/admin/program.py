"""The shape that the administration commands share: desired state on stdin, a report on stdout."""

import sys
from collections.abc import Callable, Sequence
from operator import not_
from typing import Protocol, TypeVar

import msgspec

from millrace.admin.plan import Change, Fields, Key, State, render, simulate
from millrace.errors import MillraceError
from millrace.runtime.retry import wait_for

EFFECT_SECONDS = 15.0
"""How long a change that a server has accepted may take until it is seen."""
POLL_SECONDS = 0.2

DECLARED = "as declared"
OTHER = "another"
"""What a report says of a password. The password itself is in no state."""


class AdminError(MillraceError):
    """Reconciling cannot be done; the text says why in one line."""


class Report(msgspec.Struct, frozen=True):
    """What was changed, or would be."""

    changed: bool
    changes: list[str]
    notes: list[str]
    diff: dict[str, str]


class Server(Protocol):
    """What reconciling needs of a server."""

    def read(self) -> dict[Key, Fields]:
        """Read the actual state."""
        ...

    def apply(self, found: Sequence[Change]) -> None:
        """Make the changes."""
        ...


Planned = Callable[[State], tuple[list[Change], list[str]]]
"""From the actual state: the changes, and notes on what is left as it is."""


def reconcile(server: Server, planned: Planned, *, check: bool) -> Report:
    """Make the changes and wait until they are seen, or only say what they would be."""
    actual = server.read()
    found, notes = planned(actual)
    if found and not check:
        server.apply(found)
        left = wait_for(lambda: planned(server.read())[0], not_, EFFECT_SECONDS, POLL_SECONDS)
        if left:
            raise AdminError(f"accepted, but not seen within {EFFECT_SECONDS:g} s: {left[0]}")
    return Report(
        changed=bool(found),
        changes=[str(change) for change in found],
        notes=notes,
        diff={"before": render(actual), "after": render(simulate(actual, found))},
    )


def state_of(pairs: Sequence[tuple[Key, Fields]]) -> dict[Key, Fields]:
    """The desired state that these are, or AdminError when they name something twice."""
    state = dict(pairs)
    if len(state) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = min(key for key in keys if keys.count(key) > 1)
        raise AdminError(f"declared twice: {' '.join(twice)}")
    return state


Desired = TypeVar("Desired")


def decode(text: bytes, kind: type[Desired]) -> Desired:
    """Read the desired state; a field that nobody knows is an error, not ignored."""
    try:
        return msgspec.json.decode(text, type=kind)
    except msgspec.DecodeError as error:
        raise AdminError(f"the desired state is not understood: {error}") from error


def read(kind: type[Desired]) -> Desired:
    """Read the desired state from standard input."""
    return decode(sys.stdin.buffer.read(), kind)


def write(answer: Report) -> None:
    """Print the report as one JSON object."""
    sys.stdout.write(msgspec.json.encode(answer).decode() + "\n")
