"""A terminal at which a test types what the documentation says, and answers questions."""

from __future__ import annotations

import os
import re
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.documented.commands import ROOT

Answer = tuple[str, str]
"""What is asked, as a pattern, and what is typed then."""
COLUMNS, ROWS = 160, 50
SIZE = f"stty cols {COLUMNS} rows {ROWS}"
WHERE = b"\x1b[6n"
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")


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
    shell = subprocess.Popen(
        ["script", "-qefc", f'{SIZE}; bash -euo pipefail -c "$MILLRACE_TYPED"', "/dev/null"],
        cwd=ROOT,
        env={**os.environ, "TERM": "xterm", **(environment or {})} | {"MILLRACE_TYPED": script},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert shell.stdin
    assert shell.stdout
    seen, asked = "", 0
    left = list(answers)
    end = time.monotonic() + seconds
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(shell.stdout, selectors.EVENT_READ)
            while True:
                remaining = end - time.monotonic()
                assert remaining > 0, f"it has not ended after {seconds:.0f} s:\n{seen[-3000:]}"
                if not selector.select(remaining):
                    continue
                read = os.read(shell.stdout.fileno(), 65536)
                if not read:
                    break
                # Who was not told how wide the terminal is asks where the cursor is.
                for _ in range(read.count(WHERE)):
                    shell.stdin.write(f"\x1b[1;{COLUMNS}R".encode())
                    shell.stdin.flush()
                seen += CONTROL.sub("", read.decode(errors="replace"))
                if left and (question := re.search(left[0][0], seen[asked:])):
                    asked += question.end()
                    shell.stdin.write(left.pop(0)[1].encode())
                    shell.stdin.flush()
        status = shell.wait(10)
    finally:
        if shell.poll() is None:
            os.killpg(shell.pid, signal.SIGKILL)
            shell.wait()
        shell.stdin.close()
        shell.stdout.close()
    assert not left, f"it never asked {left[0][0]!r}:\n{seen[-3000:]}"
    return Typed(status, seen)
