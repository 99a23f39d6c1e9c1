"""The log that ingestion writes to: what is acknowledged is known, and nobody waits for long."""

import threading
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from kafka import KafkaProducer
from kafka.errors import KafkaTimeoutError, NotLeaderForPartitionError
from kafka.producer.future import FutureRecordMetadata
from services.tests.producer.test_publisher import events
from services.tests.stands import stands_for

from millrace.api.errors import DependencyError
from millrace.api.log import PAUSE_SECONDS, WAIT_SECONDS, KafkaLog

Outcome = Exception | None


@stands_for(FutureRecordMetadata)
class Future:
    def __init__(self, client: "Client", outcome: Outcome) -> None:
        self._client = client
        self._outcome = outcome

    def get(self, timeout: float) -> None:
        self._client.on_wait(timeout)
        if self._outcome:
            raise self._outcome


@stands_for(KafkaProducer)
class Client:
    """Stands for Kafka and its client: fails as told."""

    def __init__(self, *outcomes: Outcome) -> None:
        self.outcomes = list(outcomes)
        self.keys: list[bytes] = []
        self.ids: list[str] = []
        self.closed = False
        self.on_wait: Callable[[float], None] = lambda _: None

    def send(self, topic: str, key: bytes, value: bytes) -> Future:
        assert topic == "metal-prices"
        assert not self.closed
        outcome = self.outcomes.pop(0) if self.outcomes else None
        if isinstance(outcome, KafkaTimeoutError):
            raise outcome
        self.keys.append(key)
        self.ids.append(msgspec.json.decode(value)["event_id"])
        return Future(self, outcome)

    def close(self, timeout: float) -> None:
        self.closed = True


class Kafka:
    """Makes these clients in turn, and cannot make one where None stands."""

    def __init__(self, *clients: Client | None) -> None:
        self.clients = list(clients)
        self.now = 0.0
        self.attempts = 0

    def connect(self) -> Any:
        self.attempts += 1
        client = self.clients.pop(0)
        if client is None:
            raise KafkaTimeoutError("secret-host:9092")
        return client

    def log(self) -> KafkaLog:
        return KafkaLog(self.connect, clock=lambda: self.now)


def test_every_event_is_sent_once_with_its_symbol_as_key() -> None:
    client = Client()
    assert Kafka(client).log().append("metal-prices", events(3)) == [True] * 3
    assert client.ids == ["e0", "e1", "e2"]
    assert client.keys == [b"XAU"] * 3


def test_one_client_serves_all_requests() -> None:
    kafka = Kafka(Client())
    log = kafka.log()
    for _ in range(3):
        log.append("metal-prices", events(1))
    assert kafka.attempts == 1


def test_what_is_not_acknowledged_is_told_from_what_is() -> None:
    first = Client(None, NotLeaderForPartitionError(), None)
    second = Client()
    log = Kafka(first, second).log()
    assert log.append("metal-prices", events(3)) == [True, False, True]
    # An idempotent client cannot go on behind a gap.
    assert first.closed
    assert log.append("metal-prices", events(1)) == [True]
    assert second.ids == ["e0"]


def test_what_the_client_does_not_take_is_not_acknowledged() -> None:
    client = Client(None, KafkaTimeoutError(), None)
    log = Kafka(client, Client()).log()
    assert log.append("metal-prices", events(3)) == [True, False, False]
    assert client.ids == ["e0"]
    assert client.closed
    assert log.append("metal-prices", events(1)) == [True]


def test_all_events_of_a_request_wait_no_longer_than_one() -> None:
    client = Client()
    kafka = Kafka(client)
    patience: list[float] = []

    def wait(timeout: float) -> None:
        patience.append(timeout)
        kafka.now += min(4.0, timeout)

    client.on_wait = wait
    kafka.log().append("metal-prices", events(4))
    assert patience == [WAIT_SECONDS, 6.0, 2.0, 0.0]


def test_who_asks_soon_after_a_failed_attempt_has_its_answer() -> None:
    kafka = Kafka(None, Client())
    log = kafka.log()
    for _ in range(3):
        with pytest.raises(DependencyError, match=r"^KafkaTimeoutError$"):
            log.append("metal-prices", events(1))
    assert kafka.attempts == 1
    kafka.now += PAUSE_SECONDS
    assert log.append("metal-prices", events(1)) == [True]


def test_a_client_that_failed_is_closed_when_nobody_waits_for_it() -> None:
    client = Client(None, NotLeaderForPartitionError())
    log = Kafka(client, Client()).log()
    waiting, go_on = threading.Event(), threading.Event()
    patient: list[list[bool]] = []

    def wait(_: float) -> None:
        if threading.current_thread() is thread:
            waiting.set()
            go_on.wait(10)

    client.on_wait = wait
    thread = threading.Thread(target=lambda: patient.append(log.append("metal-prices", events(1))))
    thread.start()
    waiting.wait(10)
    assert log.append("metal-prices", events(1)) == [False]
    assert not client.closed
    go_on.set()
    thread.join()
    assert patient == [[True]]
    assert client.closed
