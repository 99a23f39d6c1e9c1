"""State files: what is written is on the disk before it has its name."""

import os
import stat
from pathlib import Path

import pytest

from millrace.state import StateUnusable, write_atomically


def test_a_file_gets_its_name_when_its_content_is_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "state.json"
    path.write_bytes(b"old")
    synced: list[tuple[bytes, bytes]] = []
    fsync = os.fsync

    def seen(descriptor: int) -> None:
        fsync(descriptor)
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            on_disk = Path(f"/proc/self/fd/{descriptor}").read_bytes()
            synced.append((on_disk, path.read_bytes()))

    monkeypatch.setattr(os, "fsync", seen)
    write_atomically(path, b"new")
    assert synced == [(b"new", b"old")]
    assert path.read_bytes() == b"new"


def test_a_disk_that_refuses_leaves_the_file_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "state.json"
    path.write_bytes(b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StateUnusable, match="No space left"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
