"""Reports progress while histories are read from the database, and limits the time for it."""

import threading
import time
from collections.abc import Callable

from millrace.clients.progress import Progress

TAKE_SECONDS = 10.0
"""Time of reading after which the complete part of a batch is handed over."""


class Interrupted(Exception):
    """There is no time for another query now."""


class Pace:
    """The pace of one consumer thread. Call `begin` before queries, and `turn` between two."""

    def __init__(self, progress: Progress, beat: Callable[[], None], stop: threading.Event) -> None:
        self._progress = progress
        self._beat = beat
        self._stop = stop
        self._until = 0.0

    def begin(self) -> None:
        """Start the time limit."""
        self._until = time.monotonic() + TAKE_SECONDS

    def beat(self) -> None:
        """Report progress, because the database answers. Raises Interrupted if told to stop."""
        self._progress.hear()
        self._beat()
        if self._stop.is_set():
            raise Interrupted

    def turn(self) -> None:
        """Like `beat`, before another query. Raises Interrupted also if the time is over."""
        self.beat()
        if time.monotonic() > self._until:
            raise Interrupted
