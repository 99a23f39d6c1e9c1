"""A deployed pipeline as the tests see it: its containers, and programs run inside its network."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
    """One instance, found by its name. Nothing here starts or stops anything of another instance."""

    instance: str
    docker: docker.DockerClient

    def container(self, service: str) -> Container:
        return self.docker.containers.get(f"{self.instance}-{service}")

    def containers(self) -> list[Container]:
        return self.docker.containers.list(
            all=True, filters={"label": f"io.millrace.instance={self.instance}"}
        )

    def service(self, prefix: str) -> str:
        """The first service whose name starts with the prefix, e.g. any producer."""
        names = sorted(str(c.name).removeprefix(f"{self.instance}-") for c in self.containers())
        return next(name for name in names if name.startswith(prefix))

    @contextmanager
    def inside(
        self, like: str, command: list[str], *, environment: dict[str, str] | None = None
    ) -> Iterator[Container]:
        """Run a program with the image, credentials, settings and network of a running service.

        The scripts of `tests/pipeline/inside` are mounted at /tests.
        """
        model = self.container(like).attrs
        config, host = model["Config"], model["HostConfig"]
        networks = [n for n in model["NetworkSettings"]["Networks"] if n.endswith("-data")]
        container = self.docker.containers.run(
            config["Image"],
            entrypoint=command,
            environment=[
                *config["Env"],
                *(f"{key}={value}" for key, value in (environment or {}).items()),
            ],
            user=config["User"],
            volumes=[*(host["Binds"] or []), f"{INSIDE}:/tests:ro"],
            mounts=[],
            network=networks[0],
            read_only=True,
            tmpfs={"/tmp": "size=64m"},  # noqa: S108 - inside the container
            cap_drop=["ALL"],
            security_opt=["no-new-privileges"],
            labels={"io.millrace.test": self.instance},
            detach=True,
        )
        try:
            yield container
        finally:
            container.remove(force=True)

    def run(self, like: str, command: list[str], *, timeout: float = 300) -> Result:
        """Run a program to its end; see `inside`."""
        with self.inside(like, command) as container:
            status = container.wait(timeout=timeout)["StatusCode"]
            return Result(
                status=status,
                stdout=container.logs(stdout=True, stderr=False).decode(),
                stderr=container.logs(stdout=False, stderr=True).decode(),
            )

    def operator(self, *arguments: str, timeout: float = 300) -> Result:
        """Run a `millrace` command with the operator's credentials."""
        return self.run(self.service("operator"), ["millrace", *arguments], timeout=timeout)

    def verify(self) -> dict[str, Any]:
        """Compare every stored document with the log and with its source."""
        result = self.operator("verify", "data", "--json", timeout=600)
        assert result.status == 0, result.stdout[-4000:] + result.stderr[-2000:]
        return dict(result.json)

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


def wait_until(what: str, condition: Callable[[], bool], timeout: float) -> float:
    """Wait for a condition; return the seconds it took, or fail and say what did not happen."""
    start = time.monotonic()
    while time.monotonic() - start < timeout:
        if condition():
            return time.monotonic() - start
        time.sleep(POLL_SECONDS)
    raise AssertionError(f"{what}: not within {timeout:.0f} s")
