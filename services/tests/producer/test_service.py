"""A producer as it runs, but for Kafka: its probes, and commands that reach it over its state."""

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from kafka import KafkaProducer
from kafka.producer.future import FutureRecordMetadata, RecordMetadata
from kafka.structs import TopicPartition
from services.tests.stands import stands_for

from millrace import producer
from millrace.config import Settings
from millrace.control import producer as commands
from millrace.control.producer import Command
from millrace.producer.connection import Connection
from millrace.runtime import logging
from millrace.runtime.state_files import StateUnusable, locked
from millrace.sources import making
from millrace.sources.base import Auth, Batch
from millrace.sources.generator import Generator


@stands_for(KafkaProducer, FutureRecordMetadata)
class Client:
    """Stands for Kafka's client: everything is acknowledged at once."""

    is_done = True

    def send(self, topic: str, **record: Any) -> "Client":
        assert topic == "quotes"
        return self

    def get(self, timeout: float) -> RecordMetadata:
        place = TopicPartition("quotes", 0)
        an_hour_ago = round(1000 * (time.time() - 3600))
        return RecordMetadata(*place, place, 0, an_hour_ago, None, 3, 9, -1)

    def close(self, timeout: float) -> None:
        pass


class Running:
    """A producer in a thread."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._stop = threading.Event()
        source = making.make(settings)
        self._thread = threading.Thread(
            target=producer.produce, args=(settings, source, self._stop)
        )
        self._thread.start()

    def get(self, path: str) -> requests.Response:
        return requests.get(f"http://localhost:{self.settings.http_port}{path}", timeout=5)

    def wait(self, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Its status, as soon as it is as it should be."""
        give_up = time.monotonic() + 20
        while True:
            says: dict[str, Any] = {}
            # At first nobody listens yet.
            with contextlib.suppress(requests.ConnectionError):
                says = self.get("/status").json()
            if says and condition(says):
                return says
            assert time.monotonic() < give_up, says
            time.sleep(0.05)

    def close(self) -> None:
        self._stop.set()
        self._thread.join()


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], Running]]:
    monkeypatch.setenv("MILLRACE_SECRETS_DIR", str(tmp_path / "none"))

    def connected(connection: Connection) -> Client:
        connection._problem = None
        return Client()

    monkeypatch.setattr(Connection, "open", connected)
    started: list[Running] = []

    def run() -> Running:
        with socket.socket() as free:
            free.bind(("", 0))
            port = free.getsockname()[1]
        settings = Settings(
            producer_name="ticks",
            producer_source="generator",
            producer_feed="quotes",
            producer_interval_seconds=0.05,
            producer_rate_per_second=100,
            producer_state_dir=tmp_path,
            http_port=port,
        )
        started.append(Running(settings))
        return started[-1]

    yield run
    for one in started:
        one.close()


def test_it_tells_how_far_its_clock_is_from_kafkas(start: Callable[[], Running]) -> None:
    running = start()
    says = running.wait(lambda says: says["published"] > 0)
    assert says["clock_ahead_seconds"] == pytest.approx(3600, abs=5)
    lines = running.get("/metrics").text.splitlines()
    (line,) = (one for one in lines if one.startswith("millrace_producer_clock_ahead_seconds "))
    assert float(line.split()[1]) == pytest.approx(3600, abs=5)


def test_orders_reach_it_and_survive_it(
    start: Callable[[], Running], capsys: pytest.CaptureFixture[str]
) -> None:
    running = start()

    def give(command: Command) -> dict[str, Any]:
        capsys.readouterr()
        commands.give(running.settings, command, check=False, as_json=True)
        return dict(json.loads(capsys.readouterr().out.splitlines()[-1]))

    running.wait(lambda says: says["published"] > 10)
    answer = give(commands.pause)
    assert answer["changed"]
    assert answer["noticed"]
    assert answer["producer"]["state"] == "paused"
    published = running.get("/status").json()["published"]
    time.sleep(0.5)
    assert running.get("/status").json()["published"] == published
    assert running.get("/live").ok
    assert running.get("/ready").ok
    assert "millrace_producer_paused 1.0" in running.get("/metrics").text
    assert not give(commands.pause)["changed"]
    assert give(commands.rate(500))["producer"]["rate_per_second"] == 500

    running.close()
    running = start()
    says = running.wait(lambda says: says["state"] == "paused")
    assert (says["rate_per_second"], says["published"]) == (500, 0)
    give(commands.resume)
    running.wait(lambda says: says["published"] > 10)


def test_a_refused_key_leaves_it_alive_and_not_ready(
    start: Callable[[], Running], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_self: Generator, _unit: str) -> Batch:
        raise Auth("error 101")

    monkeypatch.setattr(Generator, "fetch", refuse)
    running = start()
    says = running.wait(lambda says: says["state"] == "key refused")
    assert says["polls"]["auth"] == 1
    ready = running.get("/ready")
    assert not ready.ok
    assert ready.text == "the API key is not accepted: error 101\n"
    assert running.get("/live").ok


def test_nothing_ends_the_process_once_the_producer_has_ended(
    start: Callable[[], Running],
) -> None:
    running = start()
    running.wait(lambda says: says["published"] > 0)
    assert "watchdog" in {thread.name for thread in threading.enumerate()}
    running.close()
    deadline = time.monotonic() + 10
    while "watchdog" in {thread.name for thread in threading.enumerate()}:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_second_process_with_the_same_state_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MILLRACE_SECRETS_DIR", str(tmp_path / "none"))
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setattr(logging, "configure", lambda *_: None)
    monkeypatch.setattr(producer, "produce", lambda *_: pytest.fail("it polls"))
    settings = Settings(
        producer_name="ticks",
        producer_source="generator",
        producer_feed="quotes",
        producer_state_dir=tmp_path,
    )
    with locked(tmp_path / "lock"), pytest.raises(StateUnusable, match="another process"):
        producer.run(settings)
