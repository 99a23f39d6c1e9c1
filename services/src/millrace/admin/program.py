"""Common parts of the administration commands: desired state on stdin, report on stdout."""

import sys
from collections.abc import Callable, Sequence
from operator import not_
from typing import Protocol, TypeVar

import msgspec

from millrace.admin.plan import Change, Fields, Key, State, render, simulate
from millrace.errors import MillraceError
from millrace.runtime.retry import wait_for

EFFECT_SECONDS = 15.0
"""How long an accepted change may take until it is visible."""
POLL_SECONDS = 0.2

DECLARED = "as declared"
OTHER = "another"
"""The text for a password in a report. No state contains passwords."""


class AdminError(MillraceError):
    """Reconciliation failed; the text says why in one line."""


class Report(msgspec.Struct, frozen=True):
    """The changes that were made, or would be."""

    changed: bool
    changes: list[str]
    notes: list[str]
    diff: dict[str, str]


class Server(Protocol):
    """The interface of a server for reconciliation."""

    def read(self) -> dict[Key, Fields]:
        """Read the actual state."""
        ...

    def apply(self, found: Sequence[Change]) -> None:
        """Make the changes."""
        ...


Planned = Callable[[State], tuple[list[Change], list[str]]]
"""Computes, from the actual state, the changes, and notes on differences that are left."""


def reconcile(server: Server, planned: Planned, *, check: bool) -> Report:
    """Make the changes and wait until they are visible, or only report them."""
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
    """The desired state of these pairs; raises AdminError for duplicates."""
    state = dict(pairs)
    if len(state) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = min(key for key in keys if keys.count(key) > 1)
        raise AdminError(f"declared twice: {' '.join(twice)}")
    return state


Desired = TypeVar("Desired")


def decode(text: bytes, kind: type[Desired]) -> Desired:
    """Decode the desired state; unknown fields are errors."""
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
