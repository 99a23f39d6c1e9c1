"""The Docker engine is restarted under load: everything is back without a human, nothing is lost.

With live-restore, which the role docker_engine sets, containers run on while the engine is away.
"""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from docker.errors import DockerException

from tests.documented.commands import block
from tests.documented.terminal import type_in

from .pipeline import INSIDE, Pipeline, Result, wait_until
from .test_faults import (
    AFTERWARDS_SECONDS,
    RATE,
    Load,
    assert_nothing_lost,
    steady_load,
    stored_count,
)


def answers(pipeline: Pipeline) -> bool:
    try:
        return bool(pipeline.docker.ping())
    except DockerException:
        return False


def restart_engine(pipeline: Pipeline, inventory: str) -> float:
    if Path("/run/systemd/system").is_dir():
        subprocess.run(["systemctl", "restart", "docker"], check=True)
        return wait_until("the engine answers", lambda: answers(pipeline), timeout=60)
    by_hand = block("docs/operating/engine.md", "kill")
    typed = type_in(by_hand.text, environment={"ANSIBLE_INVENTORY": inventory})
    assert typed.status == 0, typed.output[-3000:]
    return wait_until("the engine answers", lambda: answers(pipeline), timeout=60)


@contextmanager
def detached_load(pipeline: Pipeline, run: str, longest: int = 300) -> Iterator[Load]:
    """As steady_load, but nobody is connected to it: it goes on while the engine is away."""
    load, producer = Load(run), pipeline.service("producer")
    program = (INSIDE / "load.py").read_text()
    ledger, errors, end = (f"/tmp/{name}-{run}" for name in ("ledger", "errors", "end"))
    script = f'python3 -c "$0" "$@" > {ledger} 2> {errors}; echo $? > {end}'
    inside = ("sh", "-c", script, program, run, str(RATE), str(longest))
    name = f"{pipeline.instance}-{producer}"
    subprocess.run(["docker", "exec", "--detach", name, *inside], check=True)

    def read(path: str) -> Result:
        return pipeline.run(producer, "cat", path)

    try:
        wait_until("the load is flowing", lambda: stored_count(pipeline, run) > 0, timeout=60)
        yield load
        time.sleep(AFTERWARDS_SECONDS)
    finally:
        pipeline.run(producer, "touch", f"/tmp/stop-{run}")
        wait_until("the load has ended", lambda: read(end).stdout.strip() != "", timeout=150)
        status = int(read(end).stdout)
        load.results.append(Result(status, read(ledger).stdout, read(errors).stdout))


def test_the_engine_is_restarted(pipeline: Pipeline, run: str, inventory: str) -> None:
    def all_healthy() -> bool:
        states = [c.attrs["State"] for c in pipeline.containers()]
        return all(
            s["Running"] and s.get("Health", {"Status": "healthy"})["Status"] == "healthy"
            for s in states
        )

    before = pipeline.started()
    with detached_load(pipeline, run) as load:
        count = stored_count(pipeline, run)
        started = restart_engine(pipeline, inventory)
        seconds = wait_until("every container is healthy", all_healthy, timeout=180)
        print(
            f"\n  the engine answered after {started:.1f} s, everything healthy"
            f" {seconds:.1f} s later"
        )
        assert stored_count(pipeline, run) > count, "nothing was stored meanwhile"
    assert pipeline.started() == before, "containers were restarted although they live on"
    assert_nothing_lost(pipeline, load)
    with steady_load(pipeline, run + "b") as again:
        pass
    assert_nothing_lost(pipeline, again)
