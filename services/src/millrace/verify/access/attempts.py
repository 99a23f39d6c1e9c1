"""Attempts of unauthorised access, and their outcomes.

Only the right error passes: an error of a server that is down is no refusal.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from millrace.verify.access import wire
from millrace.verify.access.wire import TLS, TRUSTED, Answer


class Attempt(NamedTuple):
    """An attempt and its expected outcome."""

    server: str
    name: str
    expected: str
    do: Callable[[], Answer]


class Outcome(msgspec.Struct, frozen=True):
    """The outcome of an attempt."""

    server: str
    name: str
    expected: str
    found: str
    ok: bool


class AccessReport(msgspec.Struct, frozen=True):
    """All attempts."""

    ok: bool
    attempts: list[Outcome]


def encryption(server: str, address: str, ca_file: Path, request: bytes) -> list[Attempt]:
    """Attempts at a port that accepts only TLS; `request` is one of the server's protocol."""
    tried: dict[str, tuple[str, Callable[[], Answer]]] = {
        "control: TLS, our authority": (
            TRUSTED,
            partial(wire.trusted, address, ca_file, wire.version),
        ),
        "plaintext": (TLS, partial(wire.without_tls, address, request)),
        "TLS 1.1": (TLS, partial(wire.with_tls_1_1, address)),
    }
    return [Attempt(server, name, expected, do) for name, (expected, do) in tried.items()]


def judge(attempt: Attempt) -> Outcome:
    """Run the attempt, and compare its outcome with the expected one."""
    try:
        answer = attempt.do()
    except Exception as error:
        found, ok = f"{type(error).__name__}: {error}".split("\n")[0], False
    else:
        ok = answer.kind == attempt.expected
        found = answer.text if ok else f"{answer.kind}: {answer.text}"
    return Outcome(attempt.server, attempt.name, attempt.expected, found, ok)


def expect(kinds: dict[Any, str], error: Exception, key: Any, text: str) -> Answer:
    """The refusal that an error means, or the error itself if it is none."""
    if key not in kinds:
        raise error
    return Answer(kinds[key], text)
