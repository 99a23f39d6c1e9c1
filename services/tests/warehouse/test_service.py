"""The process that builds again and again: what its probes say, and how it ends."""

import re
import sys
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
import requests
from services.tests.processor.test_process import free_port

from millrace.config import Settings
from millrace.runtime import retry
from millrace.warehouse import child, service
from millrace.warehouse.contents import Built, Contents, FeedContents
from millrace.warehouse.loop import Loop
from millrace.warehouse.metrics import Metrics

SOON = 60.0
AT = datetime(2026, 1, 2, 15, tzinfo=UTC)
CONTENTS = Contents(
    AT,
    is_full=True,
    new_events=3,
    bytes=4096,
    feeds={"metals": FeedContents(3, AT, "fresh"), "quotes": FeedContents(0, None, "absent")},
)
BUILT = Built(CONTENTS, 64, 1.5, 2**20)
Answer = bytes | Exception


class Commands:
    """Stands for child.run: what each `show` and `build` answers, in order."""

    def __init__(self, show: Answer, *builds: Answer) -> None:
        self.answers = [("show", show), *(("build", build) for build in builds)]
        self.stop = threading.Event()

    def __call__(
        self,
        words: Sequence[str],
        *,
        limit: float,
        stop: threading.Event,
        beat: Callable[[], None],
    ) -> bytes:
        beat()
        name, answer = self.answers.pop(0)
        assert list(words) == ["warehouse", name, "--json"]
        if not self.answers:
            stop.set()
        if isinstance(answer, Exception):
            raise answer
        return answer


class Turns:
    """A loop that ends with the last of its answers, and the pauses that it made."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, show: Answer, *builds: Answer, **settings: Any
    ) -> None:
        self.metrics, self.pauses = Metrics(), list[float]()
        commands = Commands(show, *builds)
        self.loop = Loop(
            Settings(**settings),
            self.metrics,
            beat=lambda: None,
            stop=commands.stop,
            run=commands,
        )
        monkeypatch.setattr(retry, "pause", lambda s, _stop, _beat: self.pauses.append(s))
        self.loop.run()

    def told(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"millrace_warehouse_{name}", labels)


NOTHING = child.ChildFailed("there is no warehouse")
FAILED = child.ChildFailed("the catalog is away")
GOOD = msgspec.json.encode(BUILT)


def test_what_a_build_made_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    turns = Turns(monkeypatch, NOTHING, GOOD, warehouse_interval_seconds=60)
    assert turns.loop.problem() is None
    page = turns.loop.page()
    assert re.fullmatch(r"built [\d,]+ s ago in 2 s", page["state"])
    assert page["age_seconds"] == pytest.approx((datetime.now(UTC) - AT).total_seconds(), abs=60)
    assert {**page, "age_seconds": None} == {
        "name": "warehouse",
        "state": page["state"],
        "is_building": False,
        "built_at": AT,
        "age_seconds": None,
        "build_seconds": 1.5,
        "failures": 0,
        "reason": None,
        "feeds": {
            "metals": {"events": 3, "newest": "2026-01-02T15:00:00Z", "status": "fresh"},
            "quotes": {"events": 0, "newest": None, "status": "absent"},
        },
    }
    assert turns.told("builds_total") == 1
    assert turns.told("failures_total") == 0
    assert turns.told("built_seconds") == AT.timestamp()
    assert turns.told("build_seconds") == 1.5
    assert turns.told("build_memory_bytes") == 2**20
    assert turns.told("bytes") == 4096
    assert turns.told("new_events") == 3
    assert turns.told("events", feed="metals") == 3
    assert turns.told("newest_event_seconds", feed="metals") == AT.timestamp()
    assert turns.told("newest_event_seconds", feed="quotes") is None
    assert turns.pauses == [60]


def test_what_is_there_is_told_before_the_first_build(monkeypatch: pytest.MonkeyPatch) -> None:
    turns = Turns(monkeypatch, msgspec.json.encode(CONTENTS), child.Stopped())
    assert turns.loop.page()["built_at"] == AT
    assert turns.told("events", feed="metals") == 3
    assert turns.told("builds_total") == 0


def test_a_failure_is_told_until_a_build_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    turns = Turns(monkeypatch, msgspec.json.encode(CONTENTS), *[FAILED] * 6, **PATIENT)
    assert turns.loop.problem() == "the last build failed: the catalog is away"
    page = turns.loop.page()
    assert (page["failures"], page["reason"]) == (6, "the catalog is away")
    assert page["built_at"] == AT, "readers have it"
    assert turns.told("failures_total") == 6
    assert turns.pauses == [5, 10, 20, 40, 60, 60]
    again = Turns(monkeypatch, NOTHING, FAILED, GOOD, FAILED, **PATIENT)
    assert again.loop.page()["failures"] == 1
    assert again.pauses == [5, 60, 5]


PATIENT = {"warehouse_interval_seconds": 60}


def test_an_answer_that_is_none_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    turns = Turns(monkeypatch, b"", b"{}")
    assert "its answer cannot be read" in str(turns.loop.problem())


def test_builds_are_made_and_probes_answer_until_it_is_told_to_stop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With a program in place of the commands that read an archive."""
    program = (
        "import sys\n"
        "if 'show' in sys.argv: sys.exit('millrace: there is no warehouse')\n"
        f"print({GOOD.decode()!r})"
    )
    monkeypatch.setattr(child, "PROGRAM", (sys.executable, "-c", program))
    settings = Settings(http_port=free_port(), warehouse_interval_seconds=0.1)
    stop = threading.Event()
    thread = threading.Thread(target=service.keep_building, args=(settings, stop))
    thread.start()

    def asked(path: str) -> requests.Response:
        return requests.get(f"http://127.0.0.1:{settings.http_port}{path}", timeout=5)

    try:
        deadline = time.monotonic() + SOON
        while not has_built(asked):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert asked("/live").ok
        assert asked("/ready").text == "ok\n"
        assert asked("/status").json()["feeds"]["metals"]["events"] == 3
        assert 'millrace_warehouse_events{feed="metals"} 3.0' in asked("/metrics").text
    finally:
        stop.set()
        thread.join(SOON)
    assert not thread.is_alive()


def has_built(asked: Callable[[str], requests.Response]) -> bool:
    try:
        return bool(asked("/status").json()["build_seconds"])
    except requests.ConnectionError:
        return False
