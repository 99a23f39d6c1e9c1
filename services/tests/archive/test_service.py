"""The whole process but for Kafka: what the probes say, and how it ends."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from services.tests.archive import world
from services.tests.archive.world import Consumer, Log, settings_in, table_of
from services.tests.processor.test_process import free_port

from millrace.archive import catalog, loop, service
from millrace.archive.stream import Stream
from millrace.clients import kafka
from millrace.feeds.quotes import QUOTES
from millrace.processor.errors import Transient

SOON = 15.0


class Running:
    """An archiver in a thread."""

    def __init__(self, folder: Path, log: Log, **changes: Any) -> None:
        self.settings = settings_in(folder, http_port=free_port(), **changes)
        self.consumer = Consumer(log)
        self.stop = threading.Event()
        self.error: Exception | None = None
        self.thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        try:
            service.archive(self.settings, self.stop)
        except Exception as error:
            self.error = error

    def asked(self, path: str) -> requests.Response:
        return requests.get(f"http://127.0.0.1:{self.settings.http_port}{path}", timeout=5)


@pytest.fixture
def log() -> Log:
    made = Log()
    made.quotes(250)
    return made


@pytest.fixture
def running(
    tmp_path: Path, log: Log, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Running]]:
    made: list[Running] = []

    def start(**changes: Any) -> Running:
        one = Running(tmp_path, log, **changes)
        made.append(one)
        monkeypatch.setattr(kafka, "check_credentials", lambda _settings: None)
        monkeypatch.setattr(kafka, "consumer", lambda _settings, **_options: one.consumer)
        monkeypatch.setattr(loop, "LOOK_SECONDS", 0.05)
        one.thread.start()
        return one

    yield start
    for one in made:
        one.stop.set()
        one.thread.join(SOON)
        assert not one.thread.is_alive()


def soon(is_so: Callable[[], object]) -> None:
    deadline = time.monotonic() + SOON
    while True:
        try:
            if is_so():
                return
        except requests.ConnectionError:
            pass
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_it_is_ready_while_it_reads_and_ends_with_everything_written(
    running: Callable[..., Running], log: Log
) -> None:
    one = running()
    soon(lambda: one.asked("/ready").ok)
    assert one.asked("/live").ok
    soon(lambda: 'waiting_rows{feed="quotes"} 250.0' in one.asked("/metrics").text)
    status = one.asked("/status").json()
    [table] = status.pop("tables")
    assert (table["feed"], table["rows"], table["files"], table["snapshots"]) == ("quotes", 0, 0, 0)
    assert status == {
        "name": "archiver",
        "feeds": ["quotes"],
        "archived": {"quotes": {}},
        "trouble": [],
    }
    one.stop.set()
    one.thread.join(SOON)
    assert one.error is None
    assert world.positions(table_of(one.settings).table) == world.positions_in(log)


def test_it_is_not_ready_while_a_table_cannot_be_written(
    running: Callable[..., Running], monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any) -> None:
        raise Transient("the catalog is away")

    monkeypatch.setattr(Stream, "flush", away)
    one = running(archive_flush_seconds=0.01)
    soon(lambda: one.asked("/ready").text == "quotes: the catalog is away\n")
    assert one.asked("/live").ok


def test_it_is_not_ready_without_its_topic(running: Callable[..., Running], log: Log) -> None:
    log.records.clear()
    one = running()
    soon(lambda: one.asked("/ready").text == f"nobody reads {QUOTES.topic}/0\n")


def test_an_error_for_a_person_ends_it(running: Callable[..., Running]) -> None:
    one = running(archive_catalog="sqlite:////nonexistent/catalog.db")
    one.thread.join(SOON)
    assert "unable to open database file" in str(one.error)


def test_it_waits_for_a_catalog_that_comes_later(
    running: Callable[..., Running], monkeypatch: pytest.MonkeyPatch
) -> None:
    real, tries = catalog.opened, []

    def late(settings: Any) -> Any:
        tries.append(settings)
        if not came.is_set():
            raise Transient("the catalog is away")
        return real(settings)

    came = threading.Event()
    monkeypatch.setattr(catalog, "opened", late)
    one = running()
    # What is waited for, whatever there is to say of Kafka.
    soon(lambda: one.asked("/ready").text == "the catalog is away\n")
    came.set()
    soon(lambda: one.asked("/ready").ok)
    assert len(tries) > 1


@pytest.mark.parametrize("words", ["--help", "archive --help", "archive run"])
def test_the_command_line_does_without_the_libraries(words: str) -> None:
    """As in the image of the other services, which lacks them."""
    program = (
        "import sys\n"
        "for name in ('pyarrow', 'pyiceberg', 'sqlalchemy', 'boto3'):\n"
        "    sys.modules[name] = None\n"
        "from millrace.cli import main\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *words.split()],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if "--help" in words:
        assert (done.returncode, done.stderr) == (0, "")
    else:
        assert done.returncode == 1
        assert done.stderr == (
            "millrace: the libraries of the archive are not here: its image is millrace-analytics\n"
        )
