"""Publishes events until each is acknowledged by all in-sync replicas, or known not to be."""

import contextlib
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import structlog
from kafka.errors import (
    ClusterAuthorizationFailedError,
    KafkaError,
    KafkaTimeoutError,
    TopicAuthorizationFailedError,
)

from millrace.errors import MillraceError
from millrace.events import Event

log = structlog.get_logger(__name__)

MAX_IN_FLIGHT = 1000
DELIVERY_SECONDS = 90
"""Longer than the client's own delivery timeout, after which every future is done."""
RETRY_SECONDS = 5.0
SLICE_SECONDS = 1.0
CLOSE_SECONDS = 2.0
REFUSALS = (TopicAuthorizationFailedError, ClusterAuthorizationFailedError)


class NotAllowed(MillraceError):
    """The broker denies this user writing to the topic."""


class Undelivered(MillraceError):
    """The producer stopped with events that Kafka has not acknowledged."""


def send(client: Any, topic: str, event: Event) -> Any:
    """Pass one event to a client and return its future. KafkaError if the client refuses it."""
    # No timestamp: a record's time is that of its production, from which retention counts.
    return client.send(topic, key=event.symbol.encode(), value=msgspec.json.encode(event))


def skew(sent_at: float, taken_at: float, acknowledged_at: float) -> float:
    """The minimum by which this clock is ahead of another, which showed `taken_at` in between."""
    if sent_at > taken_at:
        return sent_at - taken_at
    return min(0.0, acknowledged_at - taken_at)


class Publisher:
    """Sends events and waits for their acknowledgement.

    The client's own buffer is unlimited; here at most MAX_IN_FLIGHT events are unacknowledged, and
    publishing more waits for the oldest. Failed events are sent again until they are acknowledged
    or `stop` is set, by a new client, because an idempotent one cannot continue after a gap.
    """

    def __init__(
        self,
        client: Any,
        reconnect: Callable[[], Any | None],
        topic: str,
        stop: threading.Event,
        *,
        beat: Callable[[], None],
        on_failure: Callable[[str], None],
        stop_seconds: float,
        on_skew: Callable[[float], None] = lambda _: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`reconnect` returns a new client, or None if told to stop first.

        `on_skew` is called after each acknowledgement with the minimum number of seconds by which
        this clock is ahead of Kafka's, negative if it is behind, 0 if no difference is detected.
        """
        self._client = client
        self._reconnect = reconnect
        self._topic = topic
        self._stop = stop
        self._beat = beat
        self._on_failure = on_failure
        self._stop_seconds = stop_seconds
        self._on_skew = on_skew
        self._clock = clock
        self._stop_by: float | None = None

    def publish(self, events: Sequence[Event]) -> None:
        """Return when all are acknowledged; raise Undelivered if told to stop before that."""
        while True:
            events, error = self._attempt(events)
            if isinstance(error, REFUSALS):
                raise NotAllowed(f"Kafka does not let this user write to {self._topic}")
            if not events:
                return
            if error:
                self._on_failure(f"{len(events)} events not acknowledged: {error!r}")
            if self._stop.wait(RETRY_SECONDS) or not self._replace_client():
                raise Undelivered(
                    f"stopped with {len(events)} events that Kafka did not acknowledge"
                )

    def close(self) -> None:
        """Close the client. All published events have been acknowledged by then, or given up."""
        with contextlib.suppress(KafkaError):
            self._client.close(timeout=CLOSE_SECONDS)

    def _replace_client(self) -> bool:
        self.close()
        client = self._reconnect()
        if client is None:
            return False
        self._client = client
        return True

    def _attempt(self, events: Sequence[Event]) -> tuple[list[Event], KafkaError | None]:
        """Send until an error or a stop, wait for all, and return unacknowledged events."""
        waiting: deque[tuple[int, float, Any]] = deque()
        acknowledged: set[int] = set()
        error: KafkaError | None = None

        def settle_oldest() -> None:
            nonlocal error
            index, sent_at, future = waiting.popleft()
            try:
                taken = self._wait(future)
            except KafkaError as failure:
                error = error or failure
            else:
                acknowledged.add(index)
                self._on_skew(skew(sent_at, taken.timestamp / 1000, self._clock()))

        for index, event in enumerate(events):
            while len(waiting) >= MAX_IN_FLIGHT:
                settle_oldest()
            if error or self._stop.is_set():
                break
            try:
                sent_at = self._clock()
                waiting.append((index, sent_at, send(self._client, self._topic, event)))
            except KafkaError as failure:
                error = failure
        while waiting:
            settle_oldest()
        left = [event for index, event in enumerate(events) if index not in acknowledged]
        return left, error

    def _wait(self, future: Any) -> Any:
        """Wait for one acknowledgement, less long once told to stop; KafkaError without one."""
        give_up = time.monotonic() + DELIVERY_SECONDS
        while True:
            self._beat()
            try:
                return future.get(timeout=SLICE_SECONDS)
            except KafkaTimeoutError:
                if future.is_done or time.monotonic() > min(give_up, self._patience()):
                    raise

    def _patience(self) -> float:
        if self._stop_by is None and self._stop.is_set():
            self._stop_by = time.monotonic() + self._stop_seconds
        return self._stop_by or math.inf
