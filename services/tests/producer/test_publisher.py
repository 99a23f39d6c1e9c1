"""The publisher: everything is acknowledged, or sent again, or known to be undelivered."""

import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kafka import KafkaProducer
from kafka.errors import (
    KafkaTimeoutError,
    NotLeaderForPartitionError,
    TopicAuthorizationFailedError,
)
from kafka.producer.future import FutureRecordMetadata, RecordMetadata
from kafka.structs import TopicPartition
from services.tests.stands import stands_for

from millrace.events import Event
from millrace.producer import publisher as module
from millrace.producer.publisher import MAX_IN_FLIGHT, NotAllowed, Publisher, Undelivered

NOW = datetime(2026, 1, 2, tzinfo=UTC)
Outcome = Exception | None
OUTCOMES: list[Outcome] = [None, NotLeaderForPartitionError(), KafkaTimeoutError()]


def events(count: int) -> list[Event]:
    return [
        Event(
            event_id=f"e{number}",
            schema_version=1,
            feed="metals",
            source="fake",
            simulated=True,
            symbol="XAU",
            observed_at=NOW,
            produced_at=NOW,
        )
        for number in range(count)
    ]


@stands_for(FutureRecordMetadata)
class Future:
    def __init__(self, broker: "Broker", outcome: Outcome) -> None:
        self._broker = broker
        self._outcome = outcome
        self.is_done = not broker.silent

    def get(self, timeout: float) -> RecordMetadata:
        if not self.is_done:
            raise KafkaTimeoutError("not yet")
        self._broker.unsettled -= 1
        if self._outcome:
            raise self._outcome
        place = TopicPartition("metal-prices", 0)
        taken = round(1000 * self._broker.clock)
        return RecordMetadata(*place, place, 0, taken, None, 3, 9, -1)


@stands_for(KafkaProducer, tools=("reconnect",))
class Broker:
    """Stands for Kafka and its client: fails as told, and remembers what it acknowledged."""

    def __init__(self, outcomes: Sequence[Outcome] = ()) -> None:
        self.outcomes = list(outcomes)
        self.acknowledged: list[str] = []
        self.sent: list[dict[str, Any]] = []
        self.unsettled = 0
        self.most_unsettled = 0
        self.clients = 1
        self.silent = False
        self.clock = time.time()
        self.on_send: Callable[[], None] = lambda: None

    def send(self, topic: str, **record: Any) -> Future:
        self.on_send()
        self.sent.append(record | {"topic": topic})
        outcome = self.outcomes.pop(0) if self.outcomes else None
        if isinstance(outcome, KafkaTimeoutError):
            raise outcome
        if outcome is None and not self.silent:
            self.acknowledged.append(msgspec.json.decode(record["value"])["event_id"])
        self.unsettled += 1
        self.most_unsettled = max(self.most_unsettled, self.unsettled)
        return Future(self, outcome)

    def close(self, timeout: float) -> None:
        pass

    def reconnect(self) -> "Broker":
        self.clients += 1
        return self


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.0)


def publisher(
    broker: Broker, stop: threading.Event | None = None, problems: list[str] | None = None
) -> Publisher:
    return Publisher(
        broker,
        broker.reconnect,
        "metal-prices",
        stop or threading.Event(),
        beat=lambda: None,
        on_failure=(problems if problems is not None else []).append,
        stop_seconds=0.0,
    )


def test_a_record_has_the_symbol_as_key_and_the_time_of_production() -> None:
    broker = Broker()
    publisher(broker).publish(events(1))
    (record,) = broker.sent
    assert record["topic"] == "metal-prices"
    assert record["key"] == b"XAU"
    assert "timestamp_ms" not in record
    assert msgspec.json.decode(record["value"], type=Event) == events(1)[0]


@pytest.mark.parametrize(
    ("own", "ahead"),
    [
        ((1000.0, 1000.2), 0.0),
        ((1061.0, 1061.2), 60.9),
        ((940.0, 940.1), -60.0),
        ((900.0, 1200.0), 0),
    ],
)
def test_it_says_how_far_its_clock_is_from_kafkas_at_least(
    own: tuple[float, float], ahead: float
) -> None:
    """Kafka took the record between the two times: what can be explained by waiting is none."""
    broker, said, times = Broker(), list[float](), list(own)
    broker.clock = 1000.1
    Publisher(
        broker,
        broker.reconnect,
        "metal-prices",
        threading.Event(),
        beat=lambda: None,
        on_failure=print,
        stop_seconds=0.0,
        on_skew=said.append,
        clock=lambda: times.pop(0),
    ).publish(events(1))
    assert said == [pytest.approx(ahead)]


def test_unacknowledged_events_are_bounded() -> None:
    broker = Broker()
    publisher(broker).publish(events(3 * MAX_IN_FLIGHT))
    assert broker.most_unsettled == MAX_IN_FLIGHT
    assert len(broker.acknowledged) == 3 * MAX_IN_FLIGHT


def test_what_failed_is_sent_again_by_a_new_client() -> None:
    problems: list[str] = []
    broker = Broker([None, NotLeaderForPartitionError("moved"), None])
    publisher(broker, problems=problems).publish(events(3))
    assert sorted(broker.acknowledged) == ["e0", "e1", "e2"]
    assert broker.clients == 2
    assert len(problems) == 1


@given(
    st.integers(0, 40),
    st.lists(st.sampled_from(OUTCOMES), max_size=60),
)
@settings(deadline=None)
def test_whatever_fails_everything_is_acknowledged_in_the_end(
    count: int, outcomes: list[Outcome]
) -> None:
    broker = Broker(outcomes)
    module.RETRY_SECONDS = 0.0
    publisher(broker).publish(events(count))
    assert {*broker.acknowledged} == {event.event_id for event in events(count)}


def test_a_refused_topic_stops_with_one_line() -> None:
    broker = Broker([TopicAuthorizationFailedError({"metal-prices"})])
    with pytest.raises(NotAllowed, match="metal-prices"):
        publisher(broker).publish(events(2))


def test_a_stop_sends_no_more_but_settles_what_was_sent() -> None:
    broker, stop = Broker(), threading.Event()

    def stop_after_ten() -> None:
        if len(broker.sent) == 9:
            stop.set()

    broker.on_send = stop_after_ten
    with pytest.raises(Undelivered, match="90 events"):
        publisher(broker, stop).publish(events(100))
    assert len(broker.acknowledged) == 10
    assert broker.unsettled == 0


def test_a_stop_does_not_wait_for_a_broker_that_is_silent() -> None:
    broker, stop = Broker(), threading.Event()
    broker.silent = True
    stop_soon = publisher(broker, stop)
    broker.on_send = stop.set
    with pytest.raises(Undelivered, match="3 events"):
        stop_soon.publish(events(3))


def test_a_stop_while_kafka_is_away_gives_up() -> None:
    broker = Broker([NotLeaderForPartitionError()])
    lonely = Publisher(
        broker,
        lambda: None,
        "metal-prices",
        threading.Event(),
        beat=lambda: None,
        on_failure=lambda _: None,
        stop_seconds=0.0,
    )
    with pytest.raises(Undelivered, match="1 events"):
        lonely.publish(events(1))
