"""What the API is connected to: when, with how much patience, and what a failure leaves."""

from types import SimpleNamespace
from typing import Any

import pytest
from kafka.errors import KafkaTimeoutError
from services.tests.api.database import Collection
from services.tests.api.test_log import Client
from services.tests.api.world import AWAY
from services.tests.producer.test_publisher import events

from millrace.api.dependencies import Dependencies, LogState
from millrace.api.errors import DependencyError
from millrace.api.log import WAIT_SECONDS
from millrace.clients import kafka, lag, mongodb, redis
from millrace.clients.kafka import BrokerUnreachable
from millrace.clients.lag import PartitionLag
from millrace.config import Settings

SETTINGS = Settings(
    feeds=["stocks", "quotes"],
    mongodb_database="prices",
    processor_group_id="readers",
    dead_letters_topic="bad",
    redis_host="redis",
)
LAG = [PartitionLag("stock-data", 0, 12, 3)]


class Admin:
    """An administration client of Kafka, which answers or fails."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.is_closed = False

    def close(self) -> None:
        self.is_closed = True


class Outside:
    """What the API connects to, and how."""

    def __init__(self) -> None:
        self.made: list[tuple[str, dict[str, Any]]] = []
        self.stored = Collection([{"_id": "a", "price": 1.5}])
        self.admins: list[Admin] = []
        self.refused: Exception | None = None
        self.producer = Client()
        self.asked: list[str] = []

    def mongo(self, settings: Settings, **options: Any) -> Any:
        self._note("mongo", settings, options)
        # Whatever else is asked for is not there.
        return {"prices": {"stock_data": self.stored}}

    def redis(self, settings: Settings, **options: Any) -> Any:
        self._note("redis", settings, options)
        return SimpleNamespace(ping=lambda: self.asked.append("ping"))

    def check(self, settings: Settings, **options: Any) -> None:
        self._note("check", settings, options)
        if self.refused:
            raise self.refused

    def admin(self, settings: Settings, **options: Any) -> Admin:
        self._note("admin", settings, options)
        return self.admins.pop(0)

    def connect_producer(self, settings: Settings, **options: Any) -> Client:
        self._note("producer", settings, options)
        return self.producer

    def lag(self, admin: Admin, group: str, topics: list[str]) -> list[PartitionLag]:
        assert (group, topics) == ("readers", ["bad", "stock-data", "quotes"])
        if admin.error:
            raise admin.error
        return [PartitionLag("bad", 0, 9, 9, held=False), *LAG]

    def _note(self, name: str, settings: Settings, options: dict[str, Any]) -> None:
        assert settings is SETTINGS
        self.made.append((name, options))

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.made]


@pytest.fixture
def outside(monkeypatch: pytest.MonkeyPatch) -> Outside:
    outside = Outside()
    monkeypatch.setattr(mongodb, "client", outside.mongo)
    monkeypatch.setattr(redis, "client", outside.redis)
    monkeypatch.setattr(kafka, "check_credentials", outside.check)
    monkeypatch.setattr(kafka, "admin", outside.admin)
    monkeypatch.setattr(kafka, "producer", outside.connect_producer)
    monkeypatch.setattr(lag, "read", outside.lag)
    return outside


def test_nothing_is_connected_to_before_it_is_needed(outside: Outside) -> None:
    Dependencies(SETTINGS).log()
    assert outside.made == []


def test_one_client_of_mongodb_serves_all_and_gives_up_in_time(outside: Outside) -> None:
    dependencies = Dependencies(SETTINGS)
    for _ in range(2):
        dependencies.ask_mongodb()
        assert dependencies.store().between("stock_data", "", 0, 0, 1, None) == []
    ((_, options),) = outside.made
    # Whoever waits for an answer does not wait for longer.
    assert 0 < options["serverSelectionTimeoutMS"] <= 5000
    # A ping would be answered without logging in; more than an id is not needed.
    assert outside.stored.answers[0] == [{"_id": "a"}]


def test_mongodb_that_is_away_is_named_by_the_kind_of_error_alone(outside: Outside) -> None:
    outside.stored = Collection([], AWAY)
    with pytest.raises(DependencyError, match=r"^ServerSelectionTimeoutError$"):
        Dependencies(SETTINGS).ask_mongodb()


def test_one_client_of_kafka_tells_the_lag_after_its_credentials_were_checked(
    outside: Outside,
) -> None:
    outside.admins = [Admin()]
    dependencies = Dependencies(SETTINGS)
    assert dependencies.ask_kafka() == dependencies.ask_kafka() == LogState(LAG, 9)
    assert outside.names == ["check", "admin"]
    (_, check), (_, admin) = outside.made
    assert 0 < check["timeout"] <= 5
    assert {*admin} == {"bootstrap_timeout_ms", "request_timeout_ms"}
    assert all(0 < limit <= 5000 for limit in admin.values())


def test_a_client_of_kafka_that_fails_is_closed_and_made_anew(outside: Outside) -> None:
    failing = Admin(KafkaTimeoutError("secret-host:9092"))
    outside.admins = [failing, Admin()]
    dependencies = Dependencies(SETTINGS)
    with pytest.raises(DependencyError, match=r"^KafkaTimeoutError$"):
        dependencies.ask_kafka()
    assert failing.is_closed
    assert dependencies.ask_kafka().partitions == LAG


def test_kafka_that_refuses_is_asked_again_the_next_time(outside: Outside) -> None:
    outside.refused = BrokerUnreachable("secret-host:9092")
    outside.admins = [Admin()]
    dependencies = Dependencies(SETTINGS)
    for _ in range(2):
        with pytest.raises(DependencyError, match=r"^BrokerUnreachable$"):
            dependencies.ask_kafka()
    outside.refused = None
    assert dependencies.ask_kafka().partitions == LAG


def test_what_clients_send_goes_to_a_producer_that_gives_up_before_they_do(
    outside: Outside,
) -> None:
    dependencies = Dependencies(SETTINGS)
    assert dependencies.log().append("metal-prices", events(2)) == [True, True]
    assert outside.producer.ids == ["e0", "e1"]
    assert dependencies.log() is dependencies.log()
    assert outside.names == ["check", "producer"]
    (_, check), (_, options) = outside.made
    assert 0 < check["timeout"] <= 5
    assert 0 < options["bootstrap_timeout_ms"] <= 5000
    assert options["delivery_timeout_ms"] < 1000 * WAIT_SECONDS


def test_one_client_of_redis_serves_all_and_holds_nobody_up(outside: Outside) -> None:
    dependencies = Dependencies(SETTINGS)
    redis = dependencies.cache()
    assert redis is not None
    assert redis is dependencies.cache()
    redis.ping()
    assert outside.asked == ["ping"]
    ((_, options),) = outside.made
    assert {*options} == {"socket_timeout", "socket_connect_timeout"}
    assert all(0 < limit <= 1 for limit in options.values())


def test_there_is_no_cache_where_no_redis_is_deployed() -> None:
    assert Dependencies(Settings()).cache() is None
