"""The shape that the administration commands share: desired state on stdin, a report on stdout."""

import sys
from typing import TypeVar

import msgspec

from millrace.admin.plan import Change, State, render, simulate
from millrace.errors import MillraceError

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


def report(actual: State, changes: list[Change], notes: list[str]) -> Report:
    """Describe the changes to a state."""
    return Report(
        changed=bool(changes),
        changes=[str(change) for change in changes],
        notes=notes,
        diff={"before": render(actual), "after": render(simulate(actual, changes))},
    )


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
