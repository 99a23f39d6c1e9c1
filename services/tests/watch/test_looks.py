"""Looking again and again: what is down is said, and comes back."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from kafka import KafkaAdminClient
from kafka.errors import KafkaTimeoutError
from pymongo import MongoClient
from pymongo.errors import ServerSelectionTimeoutError
from services.tests.api.database import Database
from services.tests.feeds.events import metal
from services.tests.stands import stands_for

from millrace import watch
from millrace.clients import kafka, mongodb
from millrace.clients.kafka import BrokerUnreachable
from millrace.clients.lag import PartitionLag
from millrace.clients.services import Peer
from millrace.config import Settings
from millrace.feeds.metals import METALS
from millrace.watch import looks, status
from millrace.watch.looks import Watcher
from millrace.watch.snapshot import Position, Rate


class World:
    """Kafka and MongoDB as the watcher meets them; either can be down."""

    def __init__(self) -> None:
        self.clients = 0
        self.closed = 0
        self.end = 100
        self.kafka_error: Exception | None = None
        self.database = Database(METALS.document(metal(2400.0), {"change_pct_24h": 1.0}))
        self.clock = iter(range(1000))

    def admin(self, *_: Any, **__: Any) -> "Admin":
        self.clients += 1
        return Admin(self)

    def lags(self, *_: Any) -> tuple[list[PartitionLag], int]:
        if self.kafka_error:
            raise self.kafka_error
        self.end += 10
        return [PartitionLag("metal-prices", 0, self.end, 2)], 4


@stands_for(KafkaAdminClient)
class Admin:
    def __init__(self, world: World) -> None:
        self._world = world

    def close(self) -> None:
        self._world.closed += 1


@stands_for(MongoClient)
class Client:
    def __init__(self, world: World) -> None:
        self._databases = {"millrace": world.database}

    def __getitem__(self, name: str) -> Database:
        return self._databases[name]

    def close(self) -> None:
        pass


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    world = World()
    monkeypatch.setattr(kafka, "check_credentials", lambda _: None)
    monkeypatch.setattr(kafka, "admin", world.admin)
    monkeypatch.setattr(status, "lags", world.lags)
    monkeypatch.setattr(mongodb, "client", lambda *_, **__: Client(world))
    monkeypatch.setattr(looks, "ask", lambda _, host: Peer(host, True, {}))
    monkeypatch.setattr(looks, "time", SimpleNamespace(monotonic=lambda: next(world.clock)))
    return world


@pytest.fixture
def watcher(world: World) -> Iterator[Watcher]:
    assert world.clients == 0
    settings = Settings(feeds=["metals"], status_hosts=["processor", "producer-metals"])
    with Watcher(settings) as watcher:
        yield watcher


def test_the_second_look_has_rates_and_the_same_connection(world: World, watcher: Watcher) -> None:
    assert watcher.look().rates == {}
    seen = watcher.look()
    assert seen.rates == {"metals": Rate(10.0, 10.0)}
    assert seen.positions == {"metals": Position(120, 118)}
    assert (seen.dead_letters, seen.problems) == (4, [])
    assert [price.symbol for price in seen.prices] == ["XAU"]
    assert [peer.host for peer in seen.services] == ["processor", "producer-metals"]
    assert world.clients == 1


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (KafkaTimeoutError("late"), "Kafka: KafkaTimeoutError: late"),
        (BrokerUnreachable("Kafka at k does not answer: no"), "Kafka at k does not answer: no"),
        (AssertionError("odd"), "Kafka: odd"),
    ],
)
def test_kafka_that_is_down_is_said_and_comes_back(
    world: World, watcher: Watcher, error: Exception, said: str
) -> None:
    watcher.look()
    world.kafka_error = error
    seen = watcher.look()
    assert seen.problems == [said]
    assert (seen.positions, seen.dead_letters) == ({}, None)
    assert len(seen.prices) == 1
    world.kafka_error = None
    assert watcher.look().rates["metals"].published > 0
    assert (world.clients, world.closed) == (2, 1)


def test_mongodb_that_is_down_is_said_and_comes_back(world: World, watcher: Watcher) -> None:
    world.database.error = ServerSelectionTimeoutError("refused, Topology Description: long")
    seen = watcher.look()
    assert seen.problems == ["MongoDB does not answer: refused"]
    assert seen.prices == []
    assert seen.positions
    world.database.error = None
    assert watcher.look().problems == []


def test_without_a_terminal_one_frame_is_printed(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(watch, "PAUSE_SECONDS", 0.0)
    watch.run(Settings(feeds=["metals"]), once=False, svg=None)
    shown = capsys.readouterr().out
    assert shown.count("What flows") == 1
    assert "2,400.00 USD" in shown
    assert world.end == 120


def test_a_frame_is_drawn_into_a_file(
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(watch, "PAUSE_SECONDS", 0.0)
    watch.run(Settings(feeds=["metals"]), once=True, svg=tmp_path / "frame.svg")
    drawn = (tmp_path / "frame.svg").read_text()
    assert drawn.startswith("<svg")
    assert "metals" in drawn
    assert capsys.readouterr().out == ""
    assert world.clients == 1
