"""The publisher port on Kafka: dead letters and alerts, each acknowledged before it counts."""

import contextlib
import threading
from collections.abc import Sequence
from typing import Any

from kafka.errors import (
    AuthorizationError,
    ClusterAuthorizationFailedError,
    KafkaError,
    MessageSizeTooLargeError,
    TopicAuthorizationFailedError,
)

from millrace import kafka
from millrace.config import Settings
from millrace.processor.batch import Message
from millrace.processor.errors import Permanent, Transient

DELIVERY_SECONDS = 20
STOP_SECONDS = 2.0
LARGEST_BYTES = 4 * 1024 * 1024
"""A dead letter is a record of the largest size with headers added."""
REFUSALS = (
    AuthorizationError,
    ClusterAuthorizationFailedError,
    MessageSizeTooLargeError,
    TopicAuthorizationFailedError,
)


class TopicPublisher:
    """See processor.ports.Publisher. Connects when it is first used."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client: Any = None
        self._lock = threading.Lock()

    def publish(self, messages: Sequence[Message]) -> None:
        """See processor.ports.Publisher."""
        with self._lock:
            try:
                self._send(messages)
            except REFUSALS as error:
                raise Permanent(
                    f"Kafka does not take a message for {messages[0].topic}: {error!r}"
                ) from error
            except KafkaError as error:
                # An idempotent producer cannot go on behind a gap: the next attempt makes one.
                self._drop()
                raise Transient(f"Kafka, publish to {messages[0].topic}: {error!r}") from error

    def close(self) -> None:
        """Hang up, unless something is being published: the process does not end any later."""
        if self._lock.acquire(timeout=STOP_SECONDS):
            try:
                self._drop()
            finally:
                self._lock.release()

    def _send(self, messages: Sequence[Message]) -> None:
        if self._client is None:
            self._client = kafka.producer(
                self._settings,
                client_id=f"{self._settings.processor_name}-publisher",
                delivery_timeout_ms=DELIVERY_SECONDS * 1000,
                request_timeout_ms=DELIVERY_SECONDS * 500,
                max_request_size=LARGEST_BYTES,
            )
        futures = [
            self._client.send(m.topic, key=m.key, value=m.value, headers=list(m.headers))
            for m in messages
        ]
        for future in futures:
            future.get(timeout=DELIVERY_SECONDS + 5)

    def _drop(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            with contextlib.suppress(KafkaError):
                client.close(timeout=1)
