"""Probes, the health check that asks them, and the watchdog that they tell of."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Gauge

from millrace.runtime import redaction
from millrace.runtime.exit_codes import Exit
from millrace.runtime.health_check import Unhealthy, check
from millrace.runtime.probes import Probes
from millrace.runtime.redaction import Redactor
from millrace.runtime.watchdog import Watchdog

CA = Path("/nonexistent")
ROOT = Path(__file__).parents[3]


class Service:
    """A service whose health the test decides."""

    def __init__(self) -> None:
        self.wrong: str | None = None
        self.error = "none"
        registry = CollectorRegistry()
        Gauge("answer", "The answer", registry=registry).set(42)
        self.probes = Probes(
            0,
            live=lambda: None,
            ready=lambda: self.wrong,
            status=lambda: {"state": "fine", "error": self.error},
            registry=registry,
        )
        self.url = f"http://localhost:{self.probes.port}"

    def get(self, path: str) -> str:
        with urllib.request.urlopen(self.url + path) as response:
            return str(response.read().decode())


@pytest.fixture
def service() -> Iterator[Service]:
    running = Service()
    yield running
    running.probes.close()


def test_what_a_service_says_of_itself_has_no_secret(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redaction, "_process", Redactor(['pa"ss']))
    service.wrong = service.error = 'refused: pa"ss'
    with pytest.raises(urllib.error.HTTPError) as refused:
        service.get("/ready")
    with refused.value as answer:
        assert answer.read() == b"refused: ***\n"
    assert json.loads(service.get("/status"))["error"] == "refused: ***"


def test_a_ready_service_is_healthy(service: Service) -> None:
    check(f"{service.url}/ready", CA)


def test_a_service_that_is_not_ready_is_unhealthy(service: Service) -> None:
    service.wrong = "Kafka is away"
    with pytest.raises(Unhealthy, match="503"):
        check(f"{service.url}/ready", CA)
    check(f"{service.url}/live", CA)


def test_a_service_that_is_away_is_unhealthy(service: Service) -> None:
    service.probes.close()
    with pytest.raises(Unhealthy):
        check(f"{service.url}/live", CA)


def test_status_and_metrics_are_served(service: Service) -> None:
    assert json.loads(service.get("/status")) == {"state": "fine", "error": "none"}
    assert "answer 42.0" in service.get("/metrics")


def test_another_page_is_not_there(service: Service) -> None:
    with pytest.raises(Unhealthy, match="404"):
        check(f"{service.url}/else", CA)


@pytest.mark.parametrize(
    "program", ["images/millrace/health", "services/src/millrace/runtime/health_check.py"]
)
def test_what_the_engine_runs_says_the_same(service: Service, program: str) -> None:
    def ask(url: str) -> tuple[int, str]:
        command = [*(["bash"] if program.endswith("health") else [sys.executable]), program, url]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        return done.returncode, done.stderr

    assert ask(f"{service.url}/ready") == (0, "")
    service.wrong = "Kafka is away"
    assert ask(f"{service.url}/ready") == (1, f"millrace: {service.url}/ready answered 503\n")
    assert ask(f"{service.url}/live") == (0, "")
    service.probes.close()
    code, said = ask(f"{service.url}/live")
    assert code == 1
    assert said


def test_who_accepts_and_does_not_answer_is_not_well() -> None:
    with socket.create_server(("localhost", 0)) as server:
        url = f"http://localhost:{server.getsockname()[1]}/live"
        done = subprocess.run(
            ["bash", "images/millrace/health", url], cwd=ROOT, capture_output=True, check=False
        )
    assert done.returncode == 1
    assert done.stderr == f"millrace: {url} does not answer\n".encode()


def test_a_loop_that_beats_is_not_late() -> None:
    heart = Watchdog(10)
    assert heart.late() is None


def test_a_hung_process_ends_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = threading.Event()
    codes: list[int] = []

    def end(code: int) -> None:
        codes.append(code)
        ended.set()

    monkeypatch.setattr(os, "_exit", end)
    heart = Watchdog(1.5)
    heart.watch()
    for _ in range(8):
        time.sleep(0.25)
        heart.beat()
    assert not ended.is_set()
    assert ended.wait(10)
    heart.rest()
    assert set(codes) == {Exit.HUNG}


def test_a_process_whose_loop_has_ended_is_let_be(monkeypatch: pytest.MonkeyPatch) -> None:
    codes: list[int] = []
    monkeypatch.setattr(os, "_exit", codes.append)
    heart = Watchdog(0.5)
    heart.watch()
    heart.rest()
    time.sleep(0.8)
    assert heart.late()
    assert codes == []
