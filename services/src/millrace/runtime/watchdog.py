"""Detects a loop that hangs, and ends its process.

The container engine restarts a process that has ended, but not one that hangs.
"""

import os
import threading
import time

import structlog

from millrace.runtime.exit_codes import Exit

log = structlog.get_logger(__name__)


class Watchdog:
    """The loop calls `beat`; `late` returns whether it did so in time."""

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._last = time.monotonic()
        self._over = threading.Event()

    def beat(self) -> None:
        """Record that the loop is alive."""
        self._last = time.monotonic()

    def late(self) -> str | None:
        """The problem, or None."""
        silence = time.monotonic() - self._last
        return f"the loop has been silent for {silence:.0f} s" if silence > self._limit else None

    def watch(self) -> None:
        """From now on until `rest`, end the process if the loop is silent for too long."""
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()

    def rest(self) -> None:
        """Stop watching, after the loop has ended and everything is closed."""
        self._over.set()

    def _watch(self) -> None:
        while not self._over.wait(self._limit / 10):
            if wrong := self.late():
                log.error("ending a hung process", reason=wrong)
                os._exit(Exit.HUNG)
