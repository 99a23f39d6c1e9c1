"""The producer's connection to Kafka: made when the broker is there, again when it was lost."""

import threading
from collections.abc import Callable
from typing import Any

import structlog
from kafka.errors import KafkaError

from millrace.clients import kafka
from millrace.config import Settings

log = structlog.get_logger(__name__)

RETRY_SECONDS = 3.0
PATIENCE_MS = 5000
"""A stop waits at most this long for a client that has no answer."""


class Connection:
    """Opens clients. Refused credentials are an error, an absent broker is waited for."""

    def __init__(self, settings: Settings, stop: threading.Event, beat: Callable[[], None]) -> None:
        self._settings = settings
        self._stop = stop
        self._beat = beat
        self._problem: str | None = "not connected to Kafka yet"

    def problem(self) -> str | None:
        """Why nothing can be published now, or None."""
        return self._problem

    def failed(self, problem: str) -> None:
        """The open client has failed to deliver."""
        self._problem = problem
        log.warning("delivery failed, trying again", problem=problem)

    def open(self) -> Any | None:
        """A client, as soon as a broker answers; None if told to stop before that."""
        while not self._stop.is_set():
            self._beat()
            try:
                kafka.check_credentials(self._settings)
                client = kafka.producer(
                    self._settings, bootstrap_timeout_ms=PATIENCE_MS, max_block_ms=PATIENCE_MS
                )
            except (kafka.BrokerUnreachable, KafkaError) as error:
                self._problem = str(error)
                log.warning("waiting for Kafka", problem=self._problem)
                self._stop.wait(RETRY_SECONDS)
            else:
                self._problem = None
                return client
        return None
