"""Retries until an answer is as wanted, and growing pauses between attempts."""

import random
import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

BEAT_SECONDS = 1.0


def wait_for(
    ask: Callable[[], T], is_wanted: Callable[[T], object], seconds: float, pause: float
) -> T:
    """The first wanted answer, or the last one within this many seconds.

    It calls `ask` at least once, with `pause` seconds in between. Errors of `ask` are raised.
    """
    deadline = time.monotonic() + seconds
    while not is_wanted(answer := ask()) and time.monotonic() <= deadline:
        time.sleep(pause)
    return answer


def exponential(attempt: int, first: float, longest: float) -> float:
    """Seconds to wait after an attempt (0, 1, ...), doubled each time from `first`."""
    return min(longest, first * float(1 << min(attempt, 20)))


def backoff(attempt: int, first: float, longest: float) -> float:
    """Exponential seconds with jitter, at least half of the value."""
    return exponential(attempt, first, longest) * random.uniform(0.5, 1.0)  # noqa: S311


def pause(seconds: float, stop: threading.Event, beat: Callable[[], None]) -> None:
    """Wait for so long, or until told to stop, and `beat` every second meanwhile."""
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0 and not stop.is_set():
        beat()
        stop.wait(min(left, BEAT_SECONDS))
