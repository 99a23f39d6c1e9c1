"""What is wrong with a host is said before anything is changed on it."""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "plugins" / "modules"))

import preflight


@contextmanager
def engine(path: Path, answer: bytes | None) -> Iterator[str]:
    """Stand in for the Docker engine: one answer, or none at all."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                if answer is not None:
                    connection.sendall(
                        b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(answer) + answer
                    )
                connection.recv(1)

        thread = threading.Thread(target=serve)
        thread.start()
        yield str(path)
        thread.join(timeout=10)


@contextmanager
def taken_port() -> Iterator[int]:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


def container(name: str, instance: str, port: int) -> dict[str, Any]:
    return {
        "Names": [f"/{name}"],
        "Labels": {"io.millrace.instance": instance},
        "Image": "an-image:1",
        "Ports": [{"PublicPort": port}],
    }


def look(tmp_path: Path, **changes: Any) -> list[str]:
    """Look at this machine with demands that any machine meets, but for the changes."""
    params = {
        "instance": "millrace",
        "memory_mb": 1,
        "disk_mb": 1,
        "disk_deployed_mb": 1,
        "disk_path": str(tmp_path / "not" / "there" / "yet"),
        "ports": [],
        "mongodb": False,
        "images": [],
        "socket": str(tmp_path / "no.sock"),
        "timeout": 1,
    }
    return preflight.problems({**params, **changes})


def port(number: int) -> list[dict[str, Any]]:
    return [
        {
            "address": "127.0.0.1",
            "port": number,
            "variable": "millrace_api_port",
            "address_variable": "millrace_api_address",
        }
    ]


@pytest.fixture(autouse=True)
def root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)


def test_a_bare_machine_is_fine(tmp_path: Path) -> None:
    assert look(tmp_path) == []


def test_everything_that_is_wrong_is_said_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with taken_port() as number:
        found = look(tmp_path, memory_mb=10**9, disk_mb=10**9, ports=port(number))
    assert [line.split(":")[-1].strip() for line in found] == [
        "run as root, or set ansible_become=true for this host",
        "use a larger machine",
        "free some",
        "stop it, or set millrace_api_port",
    ]


def test_a_port_of_another_program_is_named(tmp_path: Path) -> None:
    with taken_port() as number:
        found = look(tmp_path, ports=port(number))
    assert found == [
        f"port 127.0.0.1:{number} is taken by another program: stop it, or set millrace_api_port"
    ]


@pytest.mark.parametrize(
    ("instance", "expected"), [("millrace", 0), ("other", 1)], ids=["ours", "of another instance"]
)
def test_a_port_that_a_container_holds(tmp_path: Path, instance: str, expected: int) -> None:
    with taken_port() as number:
        answer = json.dumps([container("a-container", instance, number)]).encode()
        with engine(tmp_path / "docker.sock", answer) as path:
            found = look(tmp_path, ports=port(number), socket=path)
    assert len(found) == expected
    assert all("container a-container" in line for line in found)


def test_an_engine_that_hangs_is_named(tmp_path: Path) -> None:
    with engine(tmp_path / "docker.sock", None) as path:
        found = look(tmp_path, socket=path)
    assert found == [f"the engine at {path} does not answer within 1 s: restart it"]


def test_an_engine_that_does_not_run_is_no_problem(tmp_path: Path) -> None:
    """The role that installs the engine also starts it."""
    stale = tmp_path / "stale.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(stale))
    assert look(tmp_path, socket=str(stale)) == []


@pytest.mark.parametrize("address", ["localhost", "", "::1", "127.0.0.256"])
def test_what_is_no_address_to_publish_at_is_said_with_its_variable(
    tmp_path: Path, address: str
) -> None:
    assert look(tmp_path, ports=[{**port(8443)[0], "address": address}]) == [
        f"millrace_api_address is '{address}': write an IPv4 address of this host, like 127.0.0.1"
    ]


def test_an_address_that_this_host_does_not_have_is_said_in_a_line(tmp_path: Path) -> None:
    [line] = look(tmp_path, ports=[{**port(8443)[0], "address": "192.0.2.1"}])
    assert line.startswith("nothing can listen at 192.0.2.1:8443 (")
    assert line.endswith("): set millrace_api_address to an address of this host")


@pytest.mark.parametrize(
    ("instance", "expected"), [("millrace", 0), ("other", 1)], ids=["ours", "of another instance"]
)
def test_what_is_deployed_needs_little_disk(tmp_path: Path, instance: str, expected: int) -> None:
    answer = json.dumps([container("a-container", instance, 1)]).encode()
    with engine(tmp_path / "docker.sock", answer) as path:
        assert len(look(tmp_path, disk_mb=10**9, socket=path)) == expected


def test_volumes_show_what_is_deployed_while_no_engine_runs(tmp_path: Path) -> None:
    (tmp_path / "volumes" / "millrace-mongodb-data").mkdir(parents=True)
    assert look(tmp_path, disk_path=str(tmp_path), disk_mb=10**9) == []
    assert len(look(tmp_path, disk_path=str(tmp_path), disk_deployed_mb=10**9)) == 1


INTEL = "processor : 0\nflags\t\t: fpu sse4_2 {}hypervisor\n\nprocessor : 1\n"
ARM = "processor : 0\nFeatures\t: fp asimd atomics {}\nCPU part : 0xd0c\n"


@pytest.mark.parametrize(
    ("machine", "cpuinfo", "lacks"),
    [
        ("x86_64", INTEL.format("avx avx2 "), ""),
        ("x86_64", INTEL.format("avx2nd "), "AVX"),
        ("aarch64", ARM.format("dcpop asimddp"), ""),
        ("aarch64", ARM.format(""), "ARMv8.2-A"),
        ("riscv64", "isa : rv64", ""),
        ("x86_64", "nothing is told", ""),
    ],
)
def test_a_processor_on_which_mongodb_ends_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, machine: str, cpuinfo: str, lacks: str
) -> None:
    (tmp_path / "cpuinfo").write_text(cpuinfo)
    monkeypatch.setattr(preflight, "CPUINFO", str(tmp_path / "cpuinfo"))
    monkeypatch.setattr(preflight.platform, "machine", lambda: machine)
    found = look(tmp_path, mongodb=True)
    assert [line.split(",")[0] for line in found] == (
        [f"the processor has no {lacks}"] if lacks else []
    )
    assert look(tmp_path) == []


def runs(image: str, instance: str = "millrace") -> dict[str, Any]:
    return container("a-server", instance, 1) | {"Image": image}


@pytest.mark.parametrize(
    ("there", "wanted", "refused"),
    [
        (runs("mongo:7.0"), "mongo:6.0.5", True),
        (runs("mongo:7.0.14@sha256:aa"), "mongo:6.0.5", True),
        (runs("127.0.0.1:5000/redis:8.4"), "127.0.0.1:5000/redis:8.0", True),
        (runs("mongo:6.0.5"), "mongo:7.0", False),
        (runs("apache/kafka:4.3.1"), "apache/kafka:4.3.0", False),
        (runs("redis:8.4"), "redis:8.10", False),
        (runs("mongo:7.0", "other"), "mongo:6.0.5", False),
        (runs("mongo:7.0"), "mine/mongo:6.0.5", False),
        (runs("sha256:0123456789"), "mongo:6.0.5", False),
        (runs("mongo:latest"), "mongo:6.0.5", False),
    ],
)
def test_data_do_not_go_back_to_an_older_server(
    tmp_path: Path, there: dict[str, Any], wanted: str, refused: bool
) -> None:
    with engine(tmp_path / "docker.sock", json.dumps([there]).encode()) as path:
        found = look(tmp_path, images=[wanted], socket=path)
    assert len(found) == int(refused)
    assert all(f"a-server is {there['Image']}, and its data cannot go" in line for line in found)
