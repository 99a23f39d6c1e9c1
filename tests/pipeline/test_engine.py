"""The Docker engine is restarted under load: everything is back without a human, nothing is lost.

With live-restore, which the role docker_engine sets, containers run on while the engine is away.
The pipeline is on emulated hosts of EC2, which have engines of their own: that of this machine
has other users.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

import docker
import pytest
from docker.errors import DockerException
from docker.models.containers import Container

from .pipeline import Pipeline, Result, wait_until
from .test_faults import assert_nothing_lost, steady_load, stored_count


@dataclass(frozen=True)
class Host:
    """An emulated host, and what of the pipeline is on it."""

    container: Container
    pipeline: Pipeline

    def restart_engine(self) -> float:
        """Seconds until the engine answered again."""
        done = self.container.exec_run("systemctl restart docker")
        assert done.exit_code == 0, done.output
        return wait_until("the engine answers", self._answers, timeout=60)

    def _answers(self) -> bool:
        try:
            return bool(self.pipeline.docker.ping())
        except DockerException:
            return False

    def is_healthy(self) -> bool:
        """Whether every container on it runs, and is healthy."""
        states = [c.attrs["State"] for c in self.pipeline.containers()]
        return all(
            s["Running"] and s.get("Health", {"Status": "healthy"})["Status"] == "healthy"
            for s in states
        )


@dataclass(frozen=True)
class Fleet(Pipeline):
    """The pipeline of several hosts: a program runs where its service is."""

    hosts: tuple[Pipeline, ...] = ()

    def services(self, prefix: str) -> list[str]:
        return sorted(name for host in self.hosts for name in host.services(prefix))

    def run(self, service: str, *command: str, stdin: bytes = b"", timeout: float = 300) -> Result:
        [host] = [one for one in self.hosts if service in one.services(service)]
        return host.run(service, *command, stdin=stdin, timeout=timeout)


def host(name: str) -> Host:
    """The host that an environment variable names; its engine is asked at its own socket."""
    machine = docker.from_env()
    [container] = machine.containers.list(filters={"name": f"-{os.environ[name]}$"})
    engine = f"unix:///proc/{container.attrs['State']['Pid']}/root/run/docker.sock"
    client = docker.DockerClient(base_url=engine, timeout=600)
    return Host(container, Pipeline(os.environ["MILLRACE_TEST_INSTANCE"], client, engine))


@pytest.fixture
def broker() -> Host:
    return host("MILLRACE_TEST_KAFKA")


@pytest.fixture
def fleet(broker: Host) -> Fleet:
    others = [host(f"MILLRACE_TEST_{group}") for group in ("PROCESSOR", "PRODUCERS")]
    own = broker.pipeline
    return Fleet(own.instance, own.docker, hosts=(own, *(one.pipeline for one in others)))


def test_the_engine_is_restarted(broker: Host, fleet: Fleet, run: str) -> None:
    before = broker.pipeline.started()
    assert before, "there is no container"
    with steady_load(fleet, run) as load:
        count = stored_count(fleet, run)
        started = broker.restart_engine()
        seconds = wait_until("every container is healthy", broker.is_healthy, timeout=180)
        print(
            f"\n  the engine answered after {started:.1f} s, everything healthy"
            f" {seconds:.1f} s later"
        )
        assert stored_count(fleet, run) > count, "nothing was stored meanwhile"
    assert broker.pipeline.started() == before, "containers were restarted although they live on"
    assert_nothing_lost(fleet, load)
    with steady_load(fleet, run + "b") as again:
        pass
    assert_nothing_lost(fleet, again)
