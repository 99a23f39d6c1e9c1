"""The publisher port on Kafka: dead letters and alerts, each acknowledged before it counts."""

import contextlib
import threading
from collections.abc import Sequence
from typing import Any

from kafka.errors import (
    ClusterAuthorizationFailedError,
    KafkaError,
    MessageSizeTooLargeError,
    RetriableError,
    SaslAuthenticationFailedError,
)

from millrace.clients import kafka
from millrace.config import Settings
from millrace.processor.batch import Message
from millrace.processor.errors import Permanent, Transient, Unknown
from millrace.processor.sinks.dead_letters import shortened

DELIVERY_SECONDS = 20
STOP_SECONDS = 2.0
LARGEST_BYTES = 4 * 1024 * 1024
"""Larger messages, before compression, are truncated."""
REFUSALS = (ClusterAuthorizationFailedError, SaslAuthenticationFailedError)


class TopicPublisher:
    """See processor.ports.Publisher. It connects at its first use."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client: Any = None
        self._lock = threading.Lock()

    def publish(self, messages: Sequence[Message]) -> None:
        """See processor.ports.Publisher."""
        with self._lock:
            try:
                try:
                    self._send(messages)
                except MessageSizeTooLargeError:
                    # An idempotent producer cannot continue after a gap: the next attempt creates a
                    # new one.
                    self._drop()
                    self._send([shortened(message) for message in messages])
            except REFUSALS as error:
                raise Permanent(
                    f"Kafka does not take a message for {messages[0].topic}: {error!r}"
                ) from error
            except Exception as error:
                self._drop()
                kind = Transient if isinstance(error, RetriableError | OSError) else Unknown
                raise kind(f"Kafka, publish to {messages[0].topic}: {error!r}") from error

    def close(self) -> None:
        """Close the client, unless it is publishing, so as not to delay the end of the process."""
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
        for future in [self._send_one(message) for message in messages]:
            future.get(timeout=DELIVERY_SECONDS + 5)

    def _send_one(self, message: Message) -> Any:
        try:
            return self._try(message)
        except MessageSizeTooLargeError:  # raised by the client before anything is sent
            return self._try(shortened(message))

    def _try(self, message: Message) -> Any:
        topic, key, value, headers = message
        return self._client.send(topic, key=key, value=value, headers=list(headers))

    def _drop(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            with contextlib.suppress(KafkaError):
                client.close(timeout=1)
