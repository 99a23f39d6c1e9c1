"""Shares one answer, or error, among all callers within a short time."""

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from millrace.api.errors import DependencyError

T = TypeVar("T")
FRESH_SECONDS = 1.0


class Fresh(Generic[T]):
    """Queries a dependency at most once in FRESH_SECONDS."""

    def __init__(self, ask: Callable[[], T], clock: Callable[[], float] = time.monotonic) -> None:
        self._ask = ask
        self._clock = clock
        self._lock = threading.Lock()
        self._asked_at = float("-inf")
        self._answer: T | DependencyError

    def __call__(self) -> T:
        """The answer, at most FRESH_SECONDS old; raises DependencyError if the query failed."""
        with self._lock:
            if self._clock() - self._asked_at >= FRESH_SECONDS:
                try:
                    self._answer = self._ask()
                except DependencyError as error:
                    self._answer = error
                self._asked_at = self._clock()
            if isinstance(self._answer, DependencyError):
                raise DependencyError(str(self._answer))
            return self._answer
