"""The Docker engine is restarted under load: everything is back without a human, nothing is lost.

With live-restore, which the role docker_engine sets, containers run on while the engine is away.
The pipeline is on an emulated host of EC2, which has an engine of its own: that of this machine
has other users.
"""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import docker
import pytest
from docker.errors import DockerException
from docker.models.containers import Container

from .pipeline import INSIDE, Pipeline, Result, wait_until
from .test_faults import (
    AFTERWARDS_SECONDS,
    RATE,
    Load,
    assert_nothing_lost,
    steady_load,
    stored_count,
)


@pytest.fixture
def host() -> Container:
    """The container that stands for the host."""
    identity = os.environ["MILLRACE_TEST_HOST"]
    [found] = docker.from_env().containers.list(filters={"name": f"-{identity}$"})
    return found


@pytest.fixture
def pipeline(host: Container, monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    """The pipeline on that host: its engine is asked at the host's own socket."""
    socket = f"/proc/{host.attrs['State']['Pid']}/root/run/docker.sock"
    monkeypatch.setenv("DOCKER_HOST", f"unix://{socket}")
    return Pipeline(os.environ["MILLRACE_TEST_INSTANCE"], docker.from_env(timeout=600))


def answers(pipeline: Pipeline) -> bool:
    try:
        return bool(pipeline.docker.ping())
    except DockerException:
        return False


def restart_engine(host: Container, pipeline: Pipeline) -> float:
    done = host.exec_run("systemctl restart docker")
    assert done.exit_code == 0, done.output
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


def test_the_engine_is_restarted(host: Container, pipeline: Pipeline, run: str) -> None:
    def all_healthy() -> bool:
        states = [c.attrs["State"] for c in pipeline.containers()]
        return all(
            s["Running"] and s.get("Health", {"Status": "healthy"})["Status"] == "healthy"
            for s in states
        )

    before = pipeline.started()
    assert before, "there is no container"
    with detached_load(pipeline, run) as load:
        count = stored_count(pipeline, run)
        started = restart_engine(host, pipeline)
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
    pipeline.verify()
