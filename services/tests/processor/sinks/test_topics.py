"""The publisher of dead letters and alerts: acknowledged, or an error of the right kind."""

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from kafka import KafkaProducer
from kafka.errors import (
    ClusterAuthorizationFailedError,
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    NotLeaderForPartitionError,
    SaslAuthenticationFailedError,
    TopicAuthorizationFailedError,
)
from kafka.producer.future import FutureRecordMetadata
from services.tests.stands import stands_for

from millrace.clients import kafka
from millrace.clients.letter_headers import PARTIAL, PREFIX
from millrace.config import Settings
from millrace.processor.batch import Message
from millrace.processor.errors import Permanent, Transient, Unknown
from millrace.processor.sinks import topics
from millrace.processor.sinks.dead_letters import LONGEST_VALUE, shortened
from millrace.processor.sinks.topics import TopicPublisher

MESSAGES = [Message("dead-letters", b"k", b"%d" % n, [("h", b"x")]) for n in range(3)]
Publish = Callable[[], None]


@stands_for(FutureRecordMetadata)
class Future:
    def __init__(self, error: Exception | None) -> None:
        self._error = error
        self.asked = False

    def get(self, timeout: float) -> None:
        self.asked = True
        if self._error:
            raise self._error


class Clients:
    """Kafka clients of which each fails as told."""

    def __init__(self) -> None:
        self.made: list[Client] = []
        self.outcomes: list[Exception | None] = []

    def __call__(self, settings: Settings, **options: Any) -> "Client":
        self.made.append(Client(self.outcomes))
        return self.made[-1]


@stands_for(KafkaProducer)
class Client:
    def __init__(self, outcomes: list[Exception | None]) -> None:
        self._outcomes = outcomes
        self.sent: list[dict[str, Any]] = []
        self.futures: list[Future] = []
        self.closed = False

    def send(self, topic: str, **record: Any) -> Future:
        self.sent.append({"topic": topic, **record})
        self.futures.append(Future(self._outcomes.pop(0) if self._outcomes else None))
        return self.futures[-1]

    def close(self, timeout: float) -> None:
        self.closed = True


@pytest.fixture
def clients(monkeypatch: pytest.MonkeyPatch) -> Clients:
    fake = Clients()
    monkeypatch.setattr(kafka, "producer", fake)
    return fake


def test_every_message_is_acknowledged_before_it_counts(clients: Clients) -> None:
    publisher = TopicPublisher(Settings())
    publisher.publish(MESSAGES)
    publisher.publish(MESSAGES[:1])
    (client,) = clients.made
    assert [record["value"] for record in client.sent] == [b"0", b"1", b"2", b"0"]
    assert client.sent[0] == {
        "topic": "dead-letters",
        "key": b"k",
        "value": b"0",
        "headers": [("h", b"x")],
    }
    assert all(future.asked for future in client.futures)
    publisher.close()
    assert client.closed


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (KafkaTimeoutError("slow"), Transient),
        (NotLeaderForPartitionError(), Transient),
        (KafkaError("other"), Unknown),
        (TopicAuthorizationFailedError("dead-letters"), Unknown),
        (TypeError("a bug"), Unknown),
    ],
)
def test_one_that_is_not_is_an_error_of_its_kind_and_the_end_of_its_client(
    clients: Clients, error: Exception, kind: type[Exception]
) -> None:
    clients.outcomes = [None, error]
    publisher = TopicPublisher(Settings())
    with pytest.raises(kind, match="dead-letters"):
        publisher.publish(MESSAGES)
    assert clients.made[0].closed
    publisher.publish(MESSAGES)
    assert len(clients.made) == 2


@pytest.mark.parametrize("kind", [ClusterAuthorizationFailedError, SaslAuthenticationFailedError])
def test_a_user_who_may_publish_nothing_is_a_permanent_error(
    clients: Clients, kind: type[KafkaError]
) -> None:
    clients.outcomes = [kind()]
    with pytest.raises(Permanent, match="dead-letters"):
        TopicPublisher(Settings()).publish(MESSAGES[:1])


def test_one_that_is_sent_alone_and_fails_is_named_by_its_topic_too(clients: Clients) -> None:
    clients.outcomes = [KafkaError("other")]
    with pytest.raises(Unknown, match=r"dead-letters: .*other"):
        TopicPublisher(Settings()).publish(MESSAGES[:1])


LARGE = Message("dead-letters", b"k", b"v" * 5_000_000, [("h", b"x"), (f"{PREFIX}topic", b"t")])


def test_a_letter_that_the_broker_finds_too_large_is_sent_in_part(clients: Clients) -> None:
    clients.outcomes = [None, MessageSizeTooLargeError()]
    TopicPublisher(Settings()).publish([MESSAGES[0], LARGE])
    refused, made = clients.made
    assert refused.closed
    assert [record["value"] for record in made.sent] == [b"0", b"v" * LONGEST_VALUE]
    assert dict(made.sent[1]["headers"])[PARTIAL] == (
        b"only the first 524288 of the value's 5000000 bytes"
    )
    assert made.sent[1]["headers"][:2] == LARGE.headers


def test_so_is_one_that_the_client_itself_does_not_send(
    clients: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    send = Client.send

    def limited(client: Client, topic: str, **record: Any) -> Future:
        if len(record["value"]) > topics.LARGEST_BYTES:
            raise MessageSizeTooLargeError
        return send(client, topic, **record)

    monkeypatch.setattr(Client, "send", limited)
    TopicPublisher(Settings()).publish([LARGE, MESSAGES[0]])
    (client,) = clients.made
    assert [len(record["value"]) for record in client.sent] == [LONGEST_VALUE, 1]
    assert not client.closed


def test_a_letter_is_small_enough_whatever_its_parts_are() -> None:
    headers = [("h" * 100_000, b"x" * 100_000), (f"{PREFIX}topic", b"t")]
    short = shortened(Message("dead-letters", b"k" * 2_000_000, b"v" * 2_000_000, headers))
    size = len(short.key or b"") + len(short.value or b"")
    assert size + sum(len(name) + len(value or b"") for name, value in short.headers) < 800_000
    assert [name for name, _ in short.headers] == [f"{PREFIX}topic", PARTIAL]
    assert dict(short.headers)[PARTIAL] == (
        b"only the first 524288 of the value's 2000000 bytes,"
        b" the first 65536 of the key's 2000000 bytes, none of the record's headers"
    )
    assert shortened(MESSAGES[0]) is MESSAGES[0]


def test_a_message_that_is_stuck_does_not_hold_up_the_end(
    clients: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(topics, "STOP_SECONDS", 0.05)
    stuck, go_on = threading.Event(), threading.Event()

    def get(_future: Future, timeout: float) -> None:
        stuck.set()
        go_on.wait(10)

    monkeypatch.setattr(Future, "get", get)
    publisher = TopicPublisher(Settings())
    thread = threading.Thread(target=publisher.publish, args=(MESSAGES,))
    thread.start()
    stuck.wait(10)
    started = time.monotonic()
    publisher.close()
    assert time.monotonic() - started < 5
    assert not clients.made[0].closed
    go_on.set()
    thread.join()
    publisher.close()
    assert clients.made[0].closed


def test_an_acknowledgement_is_not_waited_for_longer_than_the_client_tries(
    clients: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, Any] = {}
    waited: list[float] = []

    def make(settings: Settings, **options: Any) -> Client:
        given.update(options, name=settings.processor_name)
        return clients(settings, **options)

    monkeypatch.setattr(kafka, "producer", make)
    monkeypatch.setattr(Future, "get", lambda _, timeout: waited.append(timeout))
    TopicPublisher(Settings(processor_name="second")).publish(MESSAGES[:1])
    # The client gives up by itself, after more than one attempt, and says why.
    assert 2000 < 2 * given["request_timeout_ms"] <= given["delivery_timeout_ms"]
    assert given["delivery_timeout_ms"] < 1000 * waited[0] < 30_000
    assert given["max_request_size"] == topics.LARGEST_BYTES
    assert given["name"] == "second" in given["client_id"]


def test_who_cannot_hang_up_has_hung_up_all_the_same(
    clients: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    patience: list[float] = []

    def close(_client: Client, timeout: float) -> None:
        patience.append(timeout)
        raise KafkaError("in the midst of it")

    monkeypatch.setattr(Client, "close", close)
    publisher = TopicPublisher(Settings())
    publisher.publish(MESSAGES)
    publisher.close()
    publisher.publish(MESSAGES)
    assert len(clients.made) == 2
    assert patience[0] <= topics.STOP_SECONDS
