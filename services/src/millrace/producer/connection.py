"""The producer's connection to Kafka, opened when a broker answers, and again after a failure."""

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
"""How long a stop waits at most for a client without an answer."""


class Connection:
    """Opens clients. Refused credentials raise an error; an unavailable broker is waited for."""

    def __init__(self, settings: Settings, stop: threading.Event, beat: Callable[[], None]) -> None:
        self._settings = settings
        self._stop = stop
        self._beat = beat
        self._problem: str | None = "not connected to Kafka yet"

    def problem(self) -> str | None:
        """Why nothing can be published at present, or None."""
        return self._problem

    def failed(self, problem: str) -> None:
        """Record that the open client has failed to deliver."""
        self._problem = problem
        log.warning("delivery failed, trying again", problem=problem)

    def open(self) -> Any | None:
        """A client, as soon as a broker answers; None if told to stop first."""
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
