"""The module that hands desired state to a short-lived container: nothing secret in sight."""

from __future__ import annotations

import json
import os
import stat
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

PASSWORD = "canary-in-desired-state"
ANSWER = {
    "changed": True,
    "changes": ["topic a: made"],
    "notes": ["topic b is not declared"],
    "diff": {"before": "", "after": "a\n"},
}

# Stands in for the docker client: keeps what it was given, then does as its environment says.
DOCKER = """#!/bin/sh
printf '%s\\n' "$@" >> "$FAKE/arguments"
env > "$FAKE/environment"
case "$1" in
  run) cat > "$FAKE/stdin"; {behaviour} ;;
  container) echo "${RUNNING:-true}" ;;
esac
"""


class Docker:
    """The recorded use of the docker client."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def behave(self, shell: str) -> None:
        client = self.directory / "docker"
        client.write_text(DOCKER.replace("{behaviour}", shell))
        client.chmod(stat.S_IRWXU)

    def answer(self, **answer: Any) -> None:
        (self.directory / "answer").write_text(json.dumps(answer))
        self.behave('cat "$FAKE/answer"')

    def __getattr__(self, name: str) -> str:
        return (self.directory / name).read_text()


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Docker:
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("FAKE", str(tmp_path))
    return Docker(tmp_path)


@pytest.fixture
def ask(run: Any, reconcile: ModuleType) -> Callable[..., dict[str, Any]]:
    """Return a function that runs the module with ordinary parameters."""

    def run_with(*, check: bool = False, **more: Any) -> dict[str, Any]:
        params = {
            "image": "image:1",
            "command": ["admin", "kafka"],
            "network": "container:broker",
            "files": "/etc/instance/admin",
            "user": "10001:10001",
            "desired": {"users": [{"name": "reader", "password": PASSWORD}]},
        }
        return dict(run(reconcile, check=check, **(params | more)))

    return run_with


def test_the_desired_state_goes_through_standard_input_alone(docker: Docker, ask: Any) -> None:
    docker.answer(**ANSWER)
    answer = ask()
    assert {key: answer[key] for key in ANSWER} == ANSWER
    assert json.loads(docker.stdin)["users"][0]["password"] == PASSWORD
    assert PASSWORD not in docker.arguments + docker.environment + str(answer)


def test_the_container_is_confined(docker: Docker, ask: Any) -> None:
    docker.answer(**ANSWER)
    ask()
    given = docker.arguments.split()
    assert {"--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--rm"} <= {*given}
    assert "--network=container:broker" in given
    assert "--volume=/etc/instance/admin:/run/secrets:ro" in given
    assert given[-3:] == ["image:1", "admin", "kafka"]


def test_check_mode_is_passed_on(docker: Docker, ask: Any) -> None:
    docker.answer(**ANSWER)
    ask(check=True)
    assert docker.arguments.split()[-1] == "--check"


def test_check_mode_before_the_server_runs_predicts_a_change(
    docker: Docker, ask: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    docker.behave("exit 1")
    monkeypatch.setenv("RUNNING", "false")
    assert ask(check=True)["changes"] == ["broker does not run yet"]
    assert "run" not in docker.arguments.split()


@pytest.mark.parametrize(
    ("behaviour", "message"),
    [
        ("echo 'credentials refused' >&2; exit 1", "admin kafka: credentials refused"),
        ("exit 3", "status 3"),
        ("echo nonsense", "JSON"),
        ("echo '{}'", "does not say"),
    ],
)
def test_a_failure_is_told_in_the_commands_words(
    docker: Docker, ask: Any, behaviour: str, message: str
) -> None:
    docker.behave(behaviour)
    answer = ask()
    assert answer["failed"]
    assert message in answer["msg"]


def test_a_password_in_an_error_is_masked(docker: Docker, ask: Any) -> None:
    docker.behave(f"echo 'cannot use {PASSWORD}' >&2; exit 1")
    answer = ask()
    assert "cannot use" in answer["msg"]
    assert PASSWORD not in str(answer)


def test_a_command_that_hangs_is_ended_and_removed(docker: Docker, ask: Any) -> None:
    docker.behave("exec sleep 60")
    begin = time.monotonic()
    answer = ask(timeout=1)
    assert time.monotonic() - begin < 10
    assert "within 1 s" in answer["msg"]
    name = next(line for line in docker.arguments.split() if line.startswith("--name="))
    assert docker.arguments.split()[-3:] == ["rm", "--force", name.removeprefix("--name=")]
