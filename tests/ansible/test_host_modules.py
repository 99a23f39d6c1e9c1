"""Nobody is locked out, and what a kernel refuses is said."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from tests.ansible.conftest import ROOT, load


@pytest.fixture(scope="module")
def info() -> ModuleType:
    return load(ROOT / "plugins/modules/host_info.py")


@pytest.fixture(scope="module")
def kernel() -> ModuleType:
    return load(ROOT / "plugins/modules/host_kernel.py")


def test_root_and_users_without_a_key_would_be_locked_out(info: ModuleType, tmp_path: Path) -> None:
    keys = tmp_path / "authorized_keys"
    assert "logs in as root" in info.lockout("root", keys)
    assert "has no key" in info.lockout("admin", keys)
    keys.write_text("\n")
    assert "has no key" in info.lockout("admin", keys)
    keys.write_text("ssh-ed25519 AAAA someone\n")
    assert info.lockout("admin", keys) == ""


def test_a_container_is_recognised(info: ModuleType) -> None:
    assert info.is_container(b"A=1\0container=docker\0")


def test_settings_are_written_and_a_second_time_left_alone(
    kernel: ModuleType, tmp_path: Path
) -> None:
    one, two = tmp_path / "swappiness", tmp_path / "enabled"
    one.write_text("60\n")
    two.write_text("always [madvise] never\n")
    wanted = {str(one): 1, str(two): "madvise"}
    done, left = kernel.settle(wanted, container=False, check_mode=False)
    assert done == [f"{one}: 60 -> 1"]
    assert left == []
    assert kernel.settle(wanted, container=False, check_mode=False) == ([], [])


def test_the_kernel_of_a_container_is_left_alone_and_reported(
    kernel: ModuleType, tmp_path: Path
) -> None:
    one = tmp_path / "swappiness"
    one.write_text("60\n")
    done, left = kernel.settle({str(one): 1}, container=True, check_mode=False)
    assert done == []
    assert left == [f"{one} is 60, not 1: the kernel is the machine's"]
    assert one.read_text() == "60\n"


def test_what_the_kernel_refuses_is_reported(kernel: ModuleType, tmp_path: Path) -> None:
    done, left = kernel.settle({str(tmp_path / "no"): 1}, container=False, check_mode=False)
    assert done == []
    assert left == [f"{tmp_path / 'no'} is not 1: No such file or directory"]


class Machine:
    """A module on a machine whose clock becomes right after so many questions, or never."""

    def __init__(self, *answers: str, **options: Any) -> None:
        self.answers: Iterator[str] = iter(answers)
        self.params = {"container": False, "clock_timeout": 0} | options
        self.check_mode = False

    def run_command(self, command: list[str]) -> tuple[int, str, str]:
        assert command[0] == "timedatectl"
        return 0, f"{next(self.answers)}\n", ""

    def fail_json(self, msg: str) -> None:
        raise SystemExit(msg)


@pytest.mark.parametrize(("daemon", "says"), [("chronyd", "chronyd runs"), ("", "nothing sets it")])
def test_a_clock_that_is_not_synchronised_is_refused(
    kernel: ModuleType, monkeypatch: pytest.MonkeyPatch, daemon: str, says: str
) -> None:
    monkeypatch.setattr(kernel, "keeper", lambda: daemon)
    with pytest.raises(SystemExit, match=f"the clock is not synchronised.*{says}"):
        kernel.clock(Machine("no"))
    assert kernel.clock(Machine("yes")) == (daemon or "synchronised")


def test_a_clock_has_some_time_and_a_container_none_of_its_own(
    kernel: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel.time, "sleep", lambda _: None)
    monkeypatch.setattr(kernel, "keeper", lambda: "chronyd")
    assert kernel.clock(Machine("no", "no", "yes", clock_timeout=60)) == "chronyd"
    assert "the machine's" in kernel.clock(Machine(container=True))
