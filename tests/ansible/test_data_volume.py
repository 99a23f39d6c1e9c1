"""A volume is formatted when it is blank, and only then. Volumes are files here."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from tests.ansible.conftest import ROOT, load

SIZE = 16 << 20


class Module:
    """Stands in for Ansible's: runs what makes and tells file systems, and notes the rest."""

    def __init__(self, **params: Any) -> None:
        self.params = params
        self.check_mode = False
        self.noted: list[str] = []

    def run_command(self, command: list[str]) -> tuple[int, str, str]:
        if command[0] not in ("blkid", "mkfs.ext4"):
            self.noted.append(" ".join(command))
            return 0, "", ""
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def volume() -> ModuleType:
    return load(ROOT / "plugins/modules/data_volume.py")


@pytest.fixture
def device(tmp_path: Path) -> Path:
    path = tmp_path / "volume"
    with path.open("wb") as file:
        file.truncate(SIZE)
    return path


def ansible(device: Path, **more: Any) -> Module:
    params = {"device": device, "path": device.parent / "data", "wait": 0}
    return Module(**(params | {"fstab": device.parent / "fstab"} | more))


def test_a_blank_volume_is_formatted_once(volume: ModuleType, device: Path) -> None:
    module = ansible(device)
    answer = volume.ensure(module)
    assert answer["done"][0] == f"format {device} with ext4"
    fstab = (device.parent / "fstab").read_text()
    assert re.fullmatch(
        rf"UUID={answer['uuid']} {device.parent}/data ext4 defaults,nofail,\S+ 0 2\n", fstab
    )
    assert module.noted == ["systemctl daemon-reload", f"mount {device.parent}/data"]
    again = volume.ensure(ansible(device))
    assert again["uuid"] == answer["uuid"]
    assert again["done"] == [f"mount {device.parent}/data"]


def test_the_table_is_replaced_in_one_step(volume: ModuleType, device: Path) -> None:
    fstab, before = device.parent / "fstab", device.parent / "before"
    fstab.write_text("UUID=root / ext4 defaults 0 1\n")
    before.hardlink_to(fstab)
    volume.ensure(ansible(device))
    assert before.read_text() == "UUID=root / ext4 defaults 0 1\n"
    assert fstab.read_text().startswith(before.read_text())
    assert fstab.stat().st_mode & 0o777 == 0o644


def test_a_prediction_formats_nothing(volume: ModuleType, device: Path) -> None:
    module = ansible(device)
    module.check_mode = True
    assert volume.ensure(module)["changed"]
    assert device.read_bytes().strip(b"\0") == b""
    assert module.noted == []


@pytest.mark.parametrize("place", [0, SIZE // 2, SIZE - 1], ids=["beginning", "middle", "end"])
def test_a_volume_that_holds_anything_is_never_formatted(
    volume: ModuleType, device: Path, place: int
) -> None:
    with device.open("r+b") as file:
        file.seek(place)
        file.write(b"x")
    before = device.read_bytes()
    with pytest.raises(volume.VolumeError, match="holds something unknown: it is not formatted"):
        volume.ensure(ansible(device))
    assert device.read_bytes() == before


def test_another_file_system_is_left_alone(volume: ModuleType, device: Path) -> None:
    subprocess.run(["mkswap", device], check=True, capture_output=True)
    with pytest.raises(volume.VolumeError, match="holds swap, not ext4"):
        volume.ensure(ansible(device))


def test_a_volume_that_is_not_attached_is_named(volume: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(volume.VolumeError, match=r"nowhere is not there: .* attached"):
        volume.ensure(ansible(tmp_path / "nowhere"))


def test_files_below_the_mount_are_not_hidden(volume: ModuleType, device: Path) -> None:
    (device.parent / "data").mkdir()
    (device.parent / "data" / "file").touch()
    with pytest.raises(volume.VolumeError, match="is not mounted and holds files"):
        volume.ensure(ansible(device))


def test_the_line_of_an_earlier_volume_is_replaced_and_others_stay(volume: ModuleType) -> None:
    before = "# comment\nUUID=1 / ext4 defaults 0 1\nUUID=2 /srv/data ext4 defaults 0 2\n"
    after = volume.with_mount(before, "3", Path("/srv/data"))
    assert after.splitlines()[:2] == before.splitlines()[:2]
    assert len(after.splitlines()) == 3
    assert after.splitlines()[2].startswith("UUID=3 /srv/data ext4 defaults,nofail,")
    assert volume.with_mount(after, "3", Path("/srv/data")) == after


def test_what_is_mounted_is_found(volume: ModuleType) -> None:
    table = "proc /proc proc rw 0 0\n/dev/none1 /srv/data ext4 rw 0 0\n"
    assert volume.mounted(Path("/srv/data"), table) == "/dev/none1"
    assert volume.mounted(Path("/srv"), table) is None
