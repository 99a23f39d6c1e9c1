"""Crashes under a steady load: nothing acknowledged is lost, nothing is stored twice.

Each test prints how long the pipeline took to come back by itself.
"""

import json
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from millrace.runtime.exit_codes import Exit

from .pipeline import Pipeline, Result, wait_until

pytestmark = pytest.mark.usefixtures("verified")

RATE = 300
"""Events per second: reliability tests need at least 200."""
AFTERWARDS_SECONDS = 2
"""The load goes on for a moment after the fault: what comes after it must arrive too."""


@dataclass
class Load:
    """A load in progress; `result` is set when it has ended."""

    run: str
    results: list[Result] = field(default_factory=list)

    def acked(self) -> set[str]:
        assert self.results, "the load has not ended"
        assert self.results[0].status == 0, self.results[0].stderr[-2000:]
        ledger = [json.loads(line) for line in self.results[0].stdout.splitlines()]
        assert len(ledger) > RATE, "not enough traffic to say anything"
        return {entry["event_id"] for entry in ledger if entry["acked"]}


@contextmanager
def steady_load(pipeline: Pipeline, run: str, longest: int = 180) -> Iterator[Load]:
    """Load from the start of the block until a moment after its end, at most `longest` seconds."""
    load = Load(run)
    producer = pipeline.service("producer")

    def work() -> None:
        arguments = (run, str(RATE), str(longest))
        load.results.append(pipeline.script(producer, "load.py", *arguments, timeout=600))

    thread = threading.Thread(target=work)
    thread.start()
    try:
        wait_until("the load is flowing", lambda: stored_count(pipeline, run) > 0, timeout=60)
        yield load
        time.sleep(AFTERWARDS_SECONDS)
    finally:
        pipeline.run(producer, "touch", f"/tmp/stop-{run}")
        thread.join(timeout=longest + 120)


def stored_ids(pipeline: Pipeline, run: str) -> dict[str, int]:
    found = pipeline.script("operator", "stored.py", "load-test").json
    return {key: count for key, count in found.items() if f".{run}:" in key}


def stored_count(pipeline: Pipeline, run: str) -> int:
    return len(stored_ids(pipeline, run))


def assert_nothing_lost(pipeline: Pipeline, load: Load) -> None:
    acked = load.acked()

    def drained() -> bool:
        return acked <= stored_ids(pipeline, load.run).keys()

    seconds = wait_until("every acknowledged event is stored", drained, timeout=120)
    counts = stored_ids(pipeline, load.run)
    assert all(count == 1 for count in counts.values())
    print(f"  {len(acked)} events acknowledged, all stored {seconds:.1f} s after the load ended")


def came_back(pipeline: Pipeline, service: str, before: str) -> Callable[[], bool]:
    def restarted_and_healthy() -> bool:
        started = pipeline.container(service).attrs["State"]["StartedAt"]
        return bool(started != before and pipeline.is_healthy(service))

    return restarted_and_healthy


def runs_again(pipeline: Pipeline, service: str, before: str) -> Callable[[], bool]:
    def restarted() -> bool:
        state = pipeline.container(service).attrs["State"]
        # A container that waits for its restart counts as running, without a process.
        return bool(int(state["Pid"]) and state["StartedAt"] != before)

    return restarted


def test_processor_is_killed_again_and_again(pipeline: Pipeline, run: str) -> None:
    # The engine doubles its pause with each crash of a container that had not run for 10 s.
    with steady_load(pipeline, run) as load:
        for _ in range(6):
            before = pipeline.container("processor").attrs["State"]["StartedAt"]
            pipeline.crash("processor")
            wait_until("it is restarted", runs_again(pipeline, "processor", before), timeout=30)
            time.sleep(1.5)
    assert_nothing_lost(pipeline, load)


def test_processor_is_killed_between_write_and_commit_and_hangs(
    pipeline: Pipeline, run: str
) -> None:
    with steady_load(pipeline, run) as load:
        pipeline.container("processor").stop()
        try:
            # Each is missed by the group for six seconds before the next may read.
            for writes in (1, 2, 3, 5, 8, 14):
                status, logs = pipeline.run_instead("processor", "killed_processor.py", str(writes))
                assert status == 128 + signal.SIGKILL, logs[-2000:]
            start = time.monotonic()
            status, logs = pipeline.run_instead("processor", "hung_processor.py", "10")
            print(f"\n  its watchdog ended it {time.monotonic() - start:.1f} s after its start")
            assert status == Exit.HUNG, logs[-2000:]
            assert "a write hangs" in logs
        finally:
            pipeline.container("processor").start()
    assert_nothing_lost(pipeline, load)


@pytest.mark.parametrize(("service", "limit"), [("kafka-1", 60), ("mongodb", 60)])
def test_server_is_killed(pipeline: Pipeline, run: str, service: str, limit: int) -> None:
    with steady_load(pipeline, run) as load:
        before = pipeline.container(service).attrs["State"]["StartedAt"]
        pipeline.crash(service)
        seconds = wait_until(
            f"{service} is back", came_back(pipeline, service, before), timeout=limit
        )
        print(f"\n  {service}: healthy again {seconds:.1f} s after SIGKILL")
    assert_nothing_lost(pipeline, load)
