"""A command of ours in a process of its own.

What it takes of memory is free again when it ends, and whatever ends it ends nothing else.
"""

import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from typing import IO

from millrace.errors import MillraceError
from millrace.runtime.redaction import shown

LOOK_SECONDS = 0.2
LONGEST_ANSWER = 1_000_000
"""Bytes, of what it printed and of what it said on its way."""
LONGEST_REASON = 1000
OURS = "millrace: "
PROGRAM = (sys.executable, "-c", "from millrace.cli import main; main()")


class ChildFailed(MillraceError):
    """The command failed, took too long, or was killed."""


class Stopped(Exception):
    """It was ended because this process has to end."""


def run(
    words: Sequence[str],
    *,
    limit: float,
    stop: threading.Event,
    beat: Callable[[], None],
) -> bytes:
    """What a command prints within `limit` seconds. Raises ChildFailed, Stopped.

    It does not outlive this call.
    """
    deadline = time.monotonic() + limit
    with tempfile.TemporaryFile() as printed, tempfile.TemporaryFile() as said:
        try:
            child = subprocess.Popen(  # noqa: S603
                [*PROGRAM, *words], stdin=subprocess.DEVNULL, stdout=printed, stderr=said
            )
        except OSError as error:
            raise ChildFailed(f"it cannot be started: {error}") from error
        try:
            while child.poll() is None:
                beat()
                if stop.wait(LOOK_SECONDS):
                    raise Stopped
                if time.monotonic() > deadline:
                    raise ChildFailed(f"it was ended, because it took longer than {limit:g} s")
        finally:
            child.kill()
            child.wait()
        if child.returncode:
            raise ChildFailed(_reason(child.returncode, _end(said)))
        return _end(printed)


def _reason(code: int, said: bytes) -> str:
    """Why it failed, in its own last words if it had any."""
    if code == -signal.SIGKILL:
        return "it was killed: its container has too little memory for it"
    if code < 0:
        return f"it crashed ({signal.Signals(-code).name})"
    lines = said.decode(errors="replace").split("\n")
    last = next((line for line in reversed(lines) if line.strip()), "it did not say why")
    return shown(last.removeprefix(OURS), LONGEST_REASON)


def _end(file: IO[bytes]) -> bytes:
    """The end of a file, as much as is wanted of it."""
    file.seek(max(0, file.seek(0, 2) - LONGEST_ANSWER))
    return file.read()
