"""A terminal at which a test types what the documentation says, and answers questions."""

from __future__ import annotations

import io
import os
import re
import signal
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import pexpect

from tests.documented.commands import ROOT

Answer = tuple[str, str]
"""What is asked, as a pattern, and what is typed then."""
ROWS, COLUMNS = 50, 160
WHERE = re.escape("\x1b[6n")
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")
CHANGES_SECONDS, SETTLES_SECONDS, LEAVES_SECONDS = 2, 1, 10


@dataclass(frozen=True)
class Typed:
    """How it ended and what was seen."""

    status: int
    output: str


def type_in(
    script: str,
    answers: Sequence[Answer] = (),
    environment: Mapping[str, str] | None = None,
    seconds: float = 300,
) -> Typed:
    """Type a script at bash in the checkout, stopping at its first error.

    Raises AssertionError with what was seen if a question does not come or it does not end in time.
    """
    seen = io.StringIO()
    shell = pexpect.spawn(
        "bash",
        ["-euo", "pipefail", "-c", script],
        cwd=str(ROOT),
        env={**os.environ, "TERM": "xterm", **(environment or {})},
        dimensions=(ROWS, COLUMNS),
        encoding="utf-8",
        codec_errors="replace",
    )
    shell.logfile_read = seen
    left = list(answers)
    end = time.monotonic() + seconds
    try:
        while True:
            asked = [left[0][0]] if left else []
            remaining = max(end - time.monotonic(), 0)
            match shell.expect([pexpect.EOF, pexpect.TIMEOUT, WHERE, *asked], timeout=remaining):
                case 0:
                    break
                case 1:
                    raise AssertionError(f"it has not ended after {seconds:.0f} s:\n{_plain(seen)}")
                case 2:
                    # Who was not told how wide the terminal is asks where the cursor is.
                    shell.send(f"\x1b[1;{COLUMNS}R")
                case _:
                    _wait_until_it_reads(shell)
                    shell.send(left.pop(0)[1])
        _poll(lambda: not shell.isalive(), LEAVES_SECONDS)
    finally:
        if shell.isalive() and shell.pid is not None:
            os.killpg(shell.pid, signal.SIGKILL)
        shell.close(force=True)
    assert not left, f"it never asked {left[0][0]!r}:\n{_plain(seen)}"
    status = shell.exitstatus if shell.signalstatus is None else 128 + shell.signalstatus
    assert status is not None
    return Typed(status, _plain(seen))


def _wait_until_it_reads(shell: pexpect.spawn[str]) -> None:
    """Ansible asks first, and then drops what was typed before it takes the terminal over."""
    _poll(lambda: not termios.tcgetattr(shell.child_fd)[3] & termios.ICANON, CHANGES_SECONDS)
    time.sleep(SETTLES_SECONDS)


def _poll(done: Callable[[], bool], seconds: float) -> None:
    """Wait until something is so, or not any longer."""
    end = time.monotonic() + seconds
    while not done() and time.monotonic() < end:
        time.sleep(0.05)


def _plain(seen: io.StringIO) -> str:
    """Return what was seen without what moves the cursor and colours."""
    return CONTROL.sub("", seen.getvalue())
