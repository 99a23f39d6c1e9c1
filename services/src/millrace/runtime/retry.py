"""Trying again: until an answer is the one that is waited for, and after pauses that grow."""

import random
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_for(
    ask: Callable[[], T], is_wanted: Callable[[T], object], seconds: float, pause: float
) -> T:
    """The first answer that is wanted, or the last one that came within so many seconds.

    It asks once at least, with `pause` seconds in between. What `ask` raises ends it.
    """
    deadline = time.monotonic() + seconds
    while not is_wanted(answer := ask()) and time.monotonic() <= deadline:
        time.sleep(pause)
    return answer


def exponential(attempt: int, first: float, longest: float) -> float:
    """Seconds to wait after an attempt (0, 1, ...): from `first`, doubled each time."""
    return min(longest, first * float(1 << min(attempt, 20)))


def backoff(attempt: int, first: float, longest: float) -> float:
    """The same with jitter: half of it at least."""
    return exponential(attempt, first, longest) * random.uniform(0.5, 1.0)  # noqa: S311
