"""What there is of a Docker engine, and what its file has to say beside what others set."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from tests.ansible import engine_socket
from tests.ansible.conftest import ROOT, Run, load

WANTED = {"live-restore": True, "log-driver": "json-file", "log-opts": {"max-size": "10m"}}
LABELS = {"io.millrace.instance": "one"}
NETWORKS = [
    {"Name": "one-data", "Internal": True, "Labels": LABELS},
    {"Name": "one-edge", "Internal": False, "Labels": {}},
]
INFO = {"ServerVersion": "26.1.5+dfsg1", "LiveRestoreEnabled": True}


@pytest.fixture(scope="module")
def module() -> ModuleType:
    return load(ROOT / "plugins/modules/docker_engine_info.py")


@contextmanager
def engine(path: Path, info: dict[str, Any]) -> Iterator[None]:
    """Answer like an engine at a socket."""

    class Handler(engine_socket.Answers):
        def get(self) -> None:
            body = json.dumps(NETWORKS if self.path == "/networks" else info).encode()
            self.answer(200, body)

    with engine_socket.serving(path, Handler):
        yield


@contextmanager
def dockerd(directory: Path, *arguments: str) -> Iterator[int]:
    """Run a process that is called dockerd and does nothing; its id is in a file."""
    program = directory / "dockerd"
    program.write_text("#!/bin/sh\necho started\nread forever\n")
    program.chmod(0o755)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([program, *arguments], **pipes) as process:
        assert process.stdout is not None
        process.stdout.readline()  # it has its name by then
        (directory / "pid").write_text(str(process.pid))
        try:
            yield process.pid
        finally:
            process.kill()


@pytest.fixture
def look(module: ModuleType, run: Run, tmp_path: Path) -> Run:
    """Return a function that looks at an engine which has its files below the test's directory."""

    def look_at(**params: Any) -> dict[str, Any]:
        places = {
            "config": str(tmp_path / "daemon.json"),
            "socket": str(tmp_path / "sock"),
            "pid_file": str(tmp_path / "pid"),
            "log": str(tmp_path / "log"),
        }
        return run(module, **(places | {"settings": WANTED, "timeout": 1} | params))

    return look_at


def test_where_no_engine_runs_it_is_not_waited_for(look: Run) -> None:
    found = look(timeout=60)
    assert not found["answers"]
    assert found["pid"] == 0
    assert json.loads(found["config"]) == WANTED
    assert found["restart"] == []
    assert not found["reload"]


def test_an_engine_that_has_to_run_and_does_not_is_a_failure_with_the_end_of_its_log(
    look: Run, tmp_path: Path
) -> None:
    (tmp_path / "log").write_text("first\nsecond\nthird\nfailed to start: no space\n")
    found = look(running=True)
    assert found["failed"]
    assert "dockerd does not run" in found["msg"]
    if not Path("/run/systemd/system").is_dir():
        assert "failed to start: no space" in found["msg"]
        assert "first" not in found["msg"]


def test_an_engine_that_runs_and_does_not_answer_is_a_failure(look: Run, tmp_path: Path) -> None:
    with dockerd(tmp_path) as pid:
        found = look()
    assert found["failed"]
    assert f"dockerd runs (process {pid}) but does not answer" in found["msg"]


def test_another_process_under_the_engines_id_is_no_engine(look: Run, tmp_path: Path) -> None:
    (tmp_path / "pid").write_text("1")
    assert look()["pid"] == 0


def test_a_dead_engine_that_nobody_has_buried_does_not_run(look: Run, tmp_path: Path) -> None:
    program = tmp_path / "dockerd"
    program.symlink_to("/bin/true")
    with subprocess.Popen(["dockerd"], executable=program) as process:
        (tmp_path / "pid").write_text(str(process.pid))
        state = Path(f"/proc/{process.pid}/stat")
        while ") Z " not in state.read_text():
            pass
        assert look()["pid"] == 0


def test_an_engine_that_has_read_its_settings_lacks_nothing(look: Run, tmp_path: Path) -> None:
    (tmp_path / "daemon.json").write_text(json.dumps(WANTED))  # not as this module would write it
    with engine(tmp_path / "sock", INFO), dockerd(tmp_path) as pid:
        found = look()
    assert found["answers"]
    assert found["installed"]
    assert found["pid"] == pid
    assert found["config"] == ""
    assert not found["reload"]
    assert found["restart"] == []


def test_what_others_set_stays(look: Run, tmp_path: Path) -> None:
    present = {"debug": True, "log-opts": {"labels": "app", "max-size": "1g"}}
    (tmp_path / "daemon.json").write_text(json.dumps(present))
    merged = json.loads(look()["config"])
    assert merged == WANTED | {"debug": True, "log-opts": {"labels": "app", "max-size": "10m"}}


def test_a_running_engine_reloads_what_it_can_and_the_rest_waits(look: Run, tmp_path: Path) -> None:
    with engine(tmp_path / "sock", INFO | {"LiveRestoreEnabled": False}), dockerd(tmp_path):
        found = look()
    assert found["reload"]
    assert found["restart"] == ["log-driver", "log-opts"]


def test_a_reload_that_an_interrupted_run_left_out_is_made_up_for(
    look: Run, tmp_path: Path
) -> None:
    (tmp_path / "daemon.json").write_text(json.dumps(WANTED))
    with engine(tmp_path / "sock", INFO | {"LiveRestoreEnabled": False}), dockerd(tmp_path):
        assert look()["reload"]


def test_an_engine_without_a_process_id_is_never_signalled(look: Run, tmp_path: Path) -> None:
    with engine(tmp_path / "sock", INFO | {"LiveRestoreEnabled": False}):
        found = look()
    assert not found["reload"]
    assert found["restart"] == sorted(WANTED)


def test_the_log_driver_that_others_chose_stays_with_its_options(look: Run, tmp_path: Path) -> None:
    (tmp_path / "daemon.json").write_text('{"log-driver": "journald"}')
    assert json.loads(look()["config"]) == {"log-driver": "journald", "live-restore": True}


def test_a_swarm_member_gets_no_live_restore(look: Run, tmp_path: Path) -> None:
    with engine(tmp_path / "sock", INFO | {"Swarm": {"LocalNodeState": "active"}}):
        assert "live-restore" not in json.loads(look()["config"])


@pytest.mark.parametrize(
    ("arguments", "left"),
    [
        (["--live-restore"], {"log-driver", "log-opts"}),
        (["--log-opt", "max-size=5m"], {"live-restore"}),
        (["--log-driver=journald"], {"live-restore"}),
        (["--debug"], {"live-restore", "log-driver", "log-opts"}),
    ],
)
def test_what_the_engine_got_as_an_argument_is_not_written_too(
    look: Run, tmp_path: Path, arguments: list[str], left: set[str]
) -> None:
    with engine(tmp_path / "sock", INFO), dockerd(tmp_path, *arguments):
        assert set(json.loads(look()["config"])) == left


@pytest.mark.parametrize("text", ["{", "[]"])
def test_a_configuration_that_cannot_be_read_is_a_failure(
    look: Run, tmp_path: Path, text: str
) -> None:
    (tmp_path / "daemon.json").write_text(text)
    found = look()
    assert found["failed"]
    assert str(tmp_path / "daemon.json") in found["msg"]


@pytest.mark.parametrize(
    ("release", "installed", "has_requests", "packages"),
    [
        ({"ID": "debian", "VERSION_ID": "12"}, False, True, ["docker.io", "iptables"]),
        (
            {"ID": "debian", "VERSION_ID": "13"},
            False,
            False,
            ["docker.io", "iptables", "docker-cli", "python3-requests"],
        ),
        ({"ID": "debian"}, False, True, ["docker.io", "iptables", "docker-cli"]),
        ({"ID": "ubuntu", "VERSION_ID": "24.04"}, False, True, ["docker.io", "iptables"]),
        ({"ID": "debian", "VERSION_ID": "13"}, True, True, []),
        ({"ID": "debian", "VERSION_ID": "13"}, True, False, ["python3-requests"]),
    ],
)
def test_packages_are_those_of_the_release(
    module: ModuleType,
    release: dict[str, str],
    installed: bool,
    has_requests: bool,
    packages: list[str],
) -> None:
    found = module.missing_packages(release, installed=installed, has_requests=has_requests)
    assert found == packages


def test_networks_that_are_as_they_should_be_are_left_alone(look: Run, tmp_path: Path) -> None:
    data, edge = ({"name": f"one-{name}", "internal": name == "data"} for name in ("data", "edge"))
    with engine(tmp_path / "sock", INFO):
        assert look(networks=[data], labels=LABELS)["networks"] == []
        assert look(networks=[edge], labels=LABELS)["networks"] == [edge]
        assert look(networks=[data | {"internal": False}], labels=LABELS)["networks"] != []
        assert look(networks=[{"name": "two"}], labels=LABELS)["networks"][0]["name"] == "two"


def test_where_no_engine_answers_every_network_is_missing(module: ModuleType) -> None:
    data = {"name": "one-data", "internal": True}
    assert module.lacking([data], LABELS, []) == [data]
