"""The log to which the API writes: an event is acknowledged within seconds, or not accepted."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import structlog
from kafka.errors import KafkaError

from millrace.api.errors import DependencyError
from millrace.errors import MillraceError
from millrace.events import Event
from millrace.producer.publisher import send

log = structlog.get_logger(__name__)

WAIT_SECONDS = 10.0
"""A request waits at most this long for its acknowledgements."""
CLIENT_LIMITS = {"delivery_timeout_ms": 8000, "request_timeout_ms": 5000, "max_block_ms": 3000}
"""Timeouts of the client, shorter than the request's, so that no request leaves pending records."""
PAUSE_SECONDS = 1.0
"""How long a failed connection attempt answers further requests, which do not queue for it."""
CLOSE_SECONDS = 0.5


class _Client:
    """A client and the number of its users."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.users = 0
        self.failed = False


class KafkaLog:
    """The log, with one client for all threads.

    A client that fails to deliver is replaced, because an idempotent one cannot continue after a
    gap; it is closed when its last request is answered.
    """

    def __init__(
        self, connect: Callable[[], Any], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`connect` creates a client, or raises KafkaError or MillraceError."""
        self._connect = connect
        self._clock = clock
        self._lock = threading.Lock()
        self._current: _Client | None = None
        self._problem = ""
        self._failed_at = float("-inf")

    def append(self, topic: str, events: Sequence[Event]) -> list[bool]:
        """Whether each event is on every in-sync replica. DependencyError if none can be sent."""
        deadline = self._clock() + WAIT_SECONDS
        futures: list[Any] = []
        problem: KafkaError | None = None
        with self._borrowed() as held:
            for event in events:
                try:
                    futures.append(send(held.client, topic, event))
                except KafkaError as error:
                    problem = error
                    break
            failures = [self._failure(future, deadline) for future in futures]
            problem = problem or next(filter(None, failures), None)
            if problem is not None:
                held.failed = True
                log.warning("events not acknowledged", topic=topic, error=repr(problem))
        unsent = len(events) - len(futures)
        return [failure is None for failure in failures] + [False] * unsent

    def _failure(self, future: Any, deadline: float) -> KafkaError | None:
        try:
            future.get(timeout=max(0.0, deadline - self._clock()))
        except KafkaError as error:
            return error
        return None

    @contextmanager
    def _borrowed(self) -> Iterator[_Client]:
        with self._lock:
            held = self._current = self._current or self._open()
            held.users += 1
        try:
            yield held
        finally:
            with self._lock:
                held.users -= 1
                if held.failed and self._current is held:
                    self._current = None
                done = held.failed and not held.users
            if done:
                with suppress(KafkaError):
                    held.client.close(timeout=CLOSE_SECONDS)

    def _open(self) -> _Client:
        if self._clock() - self._failed_at < PAUSE_SECONDS:
            raise DependencyError(self._problem)
        try:
            return _Client(self._connect())
        except (KafkaError, MillraceError) as error:
            self._problem = type(error).__name__
            self._failed_at = self._clock()
            log.warning("dependency does not answer", dependency="kafka", reason=str(error))
            raise DependencyError(self._problem) from error
