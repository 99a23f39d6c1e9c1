"""Signs of life while the database is asked for what came before, and when that has to end."""

import threading
import time
from collections.abc import Callable

from millrace.clients.progress import Progress

TAKE_SECONDS = 10.0
"""After so long of asking, what is complete is handed over."""


class Interrupted(Exception):
    """There is no time for another question now."""


class Pace:
    """Of one consumer thread. Whoever asks questions says `begin`, and `turn` between two."""

    def __init__(self, progress: Progress, beat: Callable[[], None], stop: threading.Event) -> None:
        self._progress = progress
        self._beat = beat
        self._stop = stop
        self._until = 0.0

    def begin(self) -> None:
        """From now on there is some time."""
        self._until = time.monotonic() + TAKE_SECONDS

    def beat(self) -> None:
        """The database answers, which is life, for as long as it does. Interrupted: to stop."""
        self._progress.hear()
        self._beat()
        if self._stop.is_set():
            raise Interrupted

    def turn(self) -> None:
        """As `beat`, before one more question. Interrupted: there is other work too."""
        self.beat()
        if time.monotonic() > self._until:
            raise Interrupted
