"""A deployed pipeline as the tests see it: its containers, and programs run inside its network."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
from docker.models.containers import Container

INSIDE = Path(__file__).parent / "inside"
POLL_SECONDS = 0.25


@dataclass(frozen=True)
class Result:
    """What a program inside the pipeline's network printed, and its exit status."""

    status: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        assert self.status == 0, f"exit {self.status}: {self.stderr[-2000:]}"
        return json.loads(self.stdout)


@dataclass(frozen=True)
class Pipeline:
    """One instance, found by its name. Nothing here touches another instance."""

    instance: str
    docker: docker.DockerClient
    engine: str = ""
    """URL of the host's engine; empty: this machine's."""

    def container(self, service: str) -> Container:
        return self.docker.containers.get(f"{self.instance}-{service}")

    def containers(self) -> list[Container]:
        return self.docker.containers.list(
            all=True, filters={"label": f"io.millrace.instance={self.instance}"}
        )

    def services(self, prefix: str) -> list[str]:
        """The services whose names start with the prefix, in order."""
        names = sorted(str(c.name).removeprefix(f"{self.instance}-") for c in self.containers())
        return [name for name in names if name.startswith(prefix)]

    def service(self, prefix: str) -> str:
        """The first of them, e.g. any producer."""
        return self.services(prefix)[0]

    def run(self, service: str, *command: str, stdin: bytes = b"", timeout: float = 300) -> Result:
        """Run a program in a service's container: with its credentials, settings and network."""
        done = subprocess.run(
            ["docker", "exec", "--interactive", f"{self.instance}-{service}", *command],
            input=stdin,
            capture_output=True,
            timeout=timeout,
            check=False,
            env={**os.environ, "DOCKER_HOST": self.engine} if self.engine else None,
        )
        return Result(done.returncode, done.stdout.decode(), done.stderr.decode())

    def script(self, service: str, name: str, *arguments: str, timeout: float = 300) -> Result:
        """Run a script of `tests/pipeline/inside` in a service's container."""
        program = (INSIDE / name).read_bytes()
        return self.run(service, "python3", "-", *arguments, stdin=program, timeout=timeout)

    def run_instead(self, service: str, name: str, *arguments: str) -> tuple[int, str]:
        """Run a script to its end as the stopped service would run; its exit status and logs."""
        model = self.container(service).attrs
        config, host = model["Config"], model["HostConfig"]
        container = self.docker.containers.run(
            config["Image"],
            entrypoint=["python3", "-c", (INSIDE / name).read_text()],
            command=list(arguments),
            environment=config["Env"],
            user=config["User"],
            volumes=host["Binds"],
            mounts=[docker.types.Mount(**mount) for mount in mounts(host)],
            network=f"{self.instance}-data",
            # The first process of a container cannot be killed from inside it.
            init=True,
            read_only=True,
            cap_drop=["ALL"],
            security_opt=["no-new-privileges"],
            labels={"io.millrace.instance": self.instance},
            detach=True,
        )
        try:
            status = container.wait(timeout=120)["StatusCode"]
            return int(status), container.logs().decode(errors="replace")
        finally:
            container.remove(force=True)

    def operator(self, *arguments: str, timeout: float = 300) -> Result:
        """Run a `millrace` command with the operator's credentials."""
        return self.run("operator", "millrace", *arguments, timeout=timeout)

    def verify(self) -> dict[str, Any]:
        """Compare every stored document with the log and with its source."""
        result = self.operator("verify", "data", "--json", timeout=600)
        assert result.status == 0, result.stdout[-4000:] + result.stderr[-2000:]
        return dict(result.json)

    def is_healthy(self, service: str) -> bool:
        """The container's own health check succeeds now; the engine makes it at long intervals."""
        container = self.container(service)
        # A container that waits for its restart counts as running, without a process.
        if not container.attrs["State"]["Pid"]:
            return False
        how, *test = container.attrs["Config"]["Healthcheck"]["Test"]
        assert how == "CMD"
        return self.run(service, *test, timeout=30).status == 0

    def crash(self, service: str) -> None:
        """SIGKILL the service's first process from outside, as the kernel's OOM killer would.

        `docker kill` would also tell the engine not to restart it.
        """
        container = self.container(service)
        pid = int(container.attrs["State"]["Pid"])
        assert pid > 1, f"{service} is not running"
        os.kill(pid, signal.SIGKILL)

    def started(self) -> dict[str, str]:
        """When each container was started: equal before and after means that nothing restarted."""
        return {str(c.name): c.attrs["State"]["StartedAt"] for c in self.containers()}


def mounts(host: dict[str, Any]) -> list[dict[str, Any]]:
    """The mounts of a container's host configuration as arguments for others like them."""
    return [
        {
            "target": mount["Target"],
            "source": mount.get("Source"),
            "type": mount["Type"],
            "read_only": mount.get("ReadOnly", False),
        }
        for mount in host.get("Mounts") or []
    ]


def wait_until(what: str, condition: Callable[[], bool], timeout: float) -> float:
    """Wait for a condition; return the seconds it took, or fail and say what did not happen."""
    start = time.monotonic()
    while (asked := time.monotonic()) - start < timeout:
        if condition():
            return time.monotonic() - start
        # A slow condition is asked less often: it takes time from what is awaited.
        time.sleep(max(POLL_SECONDS, time.monotonic() - asked))
    raise AssertionError(f"{what}: not within {timeout:.0f} s")
