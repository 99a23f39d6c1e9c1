"""What the containers may do, seen from the kernel and from the engine."""

import signal
from pathlib import Path

import pytest

from .pipeline import Pipeline

SERVING = (
    *("kafka-1", "mongodb", "redis", "simulator", "processor", "archiver", "warehouse"),
    *("api", "dashboard", "producer"),
)
LONG_RUNNING = (*SERVING, "operator", "archive-operator")
OTHER_MODES = {
    **dict.fromkeys(("pki/*/ca.pem", "pki/*/cert.pem"), 0o444),  # public by their nature
    "kafka-*/server.properties": 0o600,  # its launcher adds to a copy that has its mode
}
"""Files of an instance that not only their user may read, or that it may write."""


def status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


@pytest.mark.parametrize("prefix", LONG_RUNNING)
def test_the_process_has_no_privilege(pipeline: Pipeline, prefix: str) -> None:
    container = pipeline.container(pipeline.service(prefix))
    found = status(int(container.attrs["State"]["Pid"]))
    assert found["Uid"].split()[0] != "0"
    assert int(found["CapEff"], 16) == 0
    assert int(found["CapBnd"], 16) == 0
    assert found["NoNewPrivs"] == "1"
    assert found["Seccomp"] == "2"


@pytest.mark.parametrize("prefix", LONG_RUNNING)
def test_the_process_handles_sigterm(pipeline: Pipeline, prefix: str) -> None:
    """The kernel ignores it for a first process; a host that shuts down then waits for 90 s."""
    container = pipeline.container(pipeline.service(prefix))
    found = status(int(container.attrs["State"]["Pid"]))
    # mongod blocks it, and has a thread that waits for it.
    handled = int(found["SigCgt"], 16) | int(found["SigBlk"], 16)
    assert handled & 1 << (signal.SIGTERM - 1)


@pytest.mark.parametrize("prefix", LONG_RUNNING)
def test_the_container_is_confined(pipeline: Pipeline, prefix: str) -> None:
    container = pipeline.container(pipeline.service(prefix))
    host = container.attrs["HostConfig"]
    assert host["ReadonlyRootfs"]
    assert not host["Privileged"]
    assert host["Memory"] > 0
    assert host["PidsLimit"] > 0
    assert host["RestartPolicy"]["Name"] == "unless-stopped"
    assert host["LogConfig"]["Config"]["max-size"]
    assert host["NetworkMode"] not in ("host", "bridge", "default")
    assert not any("docker.sock" in bind for bind in host["Binds"] or [])
    if prefix in SERVING:
        assert pipeline.is_healthy(pipeline.service(prefix))
    code, output = container.exec_run(["sh", "-c", "touch /written"])
    assert code != 0, "the root file system can be written"
    assert b"Read-only" in output or b"Permission" in output


def test_only_api_and_dashboard_are_published_and_only_on_loopback(pipeline: Pipeline) -> None:
    published = {
        str(c.name).removeprefix(f"{pipeline.instance}-"): binding["HostIp"]
        for c in pipeline.containers()
        for bindings in (c.attrs["HostConfig"]["PortBindings"] or {}).values()
        for binding in bindings
    }
    assert published == {"api": "127.0.0.1", "dashboard": "127.0.0.1"}


def test_the_data_network_has_no_way_out(pipeline: Pipeline) -> None:
    network = pipeline.docker.networks.get(f"{pipeline.instance}-data")
    assert network.attrs["Internal"]


def test_every_file_is_its_users_alone_unless_it_is_public(pipeline: Pipeline) -> None:
    folder = Path(f"/etc/{pipeline.instance}")
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert any(path.name == "tls.pem" for path in files)
    assert any(path.name == "api_token" for path in files)
    wrong = {
        str(path): oct(mode)
        for path in files
        if (mode := path.stat().st_mode & 0o7777) != allowed(path.relative_to(folder))
    }
    assert not wrong


def allowed(path: Path) -> int:
    return next((mode for name, mode in OTHER_MODES.items() if path.match(name)), 0o400)
