"""Files that are replaced: whole, or as they were, and on the disk when a task has ended."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils import whole_files
from ansible.parsing.vault import VaultLib, VaultSecret
from services.tests.whole_files import Replace, Replacing, refuse_a_sync
from tests.ansible.conftest import ROOT, load

SECRET = VaultSecret(b"a vault password")
VAULT = VaultLib(secrets=[("default", SECRET)])


def as_service_files(path: Path, run: Any) -> None:
    module = load(ROOT / "plugins/modules/service_files.py")
    files = [{"name": path.name, "content": "new"}]
    run(module, path=str(path.parent), owner=os.getuid(), group=os.getgid(), files=files)


def without_service_files(path: Path, run: Any) -> None:
    module = load(ROOT / "plugins/modules/service_files.py")
    run(module, path=str(path.parent), owner=os.getuid(), group=os.getgid(), files=[])


def as_system_files(path: Path, run: Any) -> None:
    module = load(ROOT / "plugins/modules/system_files.py")
    files = [{"path": str(path), "content": "new"}]
    run(module, files=files, state=str(path.parent / "state"))


def without_system_files(path: Path, run: Any) -> None:
    module = load(ROOT / "plugins/modules/system_files.py")
    files = [{"path": str(path), "content": ""}]
    run(module, files=files, state=str(path.parent / "state"))


def as_vault_secrets(path: Path, _run: Any) -> None:
    load(ROOT / "plugins/action/vault_secrets.py").write(path, "new", VAULT, SECRET)


def as_aws_secrets(path: Path, _run: Any) -> None:
    load(ROOT / "plugins/action/aws_secrets.py").write(path, "new", VAULT)


class Disk:
    """What is synced: of a file what the path held then, of a directory whether it was changed."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path = path
        self.files: list[tuple[bytes, str]] = []
        self.directories: list[str] = []
        self._fsync = os.fsync
        monkeypatch.setattr(os, "fsync", self._seen)

    def _seen(self, descriptor: int) -> None:
        self._fsync(descriptor)
        what = Path(f"/proc/self/fd/{descriptor}")
        now = self.path.read_text() if self.path.exists() else ""
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            self.files.append((what.read_bytes(), now))
        elif what.readlink() == self.path.parent:
            self.directories.append(now)


@pytest.mark.parametrize(
    "write", [as_service_files, as_system_files, as_vault_secrets, as_aws_secrets]
)
def test_a_file_has_its_name_when_its_content_is_on_the_disk_and_keeps_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Any, write: Callable[..., None]
) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    disk = Disk(path, monkeypatch)
    write(path, run)
    content = path.read_bytes()
    assert content != b"old"
    assert disk.files[0] == (content, "old")
    assert content.decode() in disk.directories


@pytest.mark.parametrize("remove", [without_service_files, without_system_files])
def test_a_file_that_is_removed_does_not_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Any, remove: Callable[..., None]
) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    disk = Disk(path, monkeypatch)
    remove(path, run)
    assert not path.exists()
    assert disk.directories[:1] == [""]


class TestWholeFiles(Replacing):
    @pytest.fixture
    def replace(self) -> Replace:
        return whole_files.replace

    @pytest.fixture
    def kind(self) -> type[Exception]:
        return OSError


def test_a_disk_that_refuses_leaves_nothing_beside_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    refuse_a_sync(monkeypatch, errno.ENOSPC, of_a_file=True)
    with pytest.raises(OSError, match="No space left"):
        whole_files.replace(path, b"new")
    assert [one.read_text() for one in tmp_path.iterdir()] == ["old"]


def test_a_file_is_for_whom_it_is(tmp_path: Path) -> None:
    path = tmp_path / "file"
    whole_files.replace(path, b"new", owner=(os.getuid(), os.getgid()))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    whole_files.replace(path, b"new", mode=0o644)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
