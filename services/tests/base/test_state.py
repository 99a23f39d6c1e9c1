"""State files: what is written is on the disk before it has its name."""

import errno
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
        what = Path(f"/proc/self/fd/{descriptor}")
        is_file = stat.S_ISREG(os.fstat(descriptor).st_mode)
        on_disk = what.read_bytes() if is_file else str(what.readlink()).encode()
        synced.append((on_disk, path.read_bytes()))

    monkeypatch.setattr(os, "fsync", seen)
    open_before = len([*Path("/proc/self/fd").iterdir()])
    write_atomically(path, b"new")
    # Its content before it has its name; the directory when it has it.
    assert synced == [(b"new", b"old"), (bytes(tmp_path), b"new")]
    assert len([*Path("/proc/self/fd").iterdir()]) == open_before
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


def refuse_a_sync(monkeypatch: pytest.MonkeyPatch, code: int, *, of_a_file: bool) -> None:
    fsync = os.fsync

    def some(descriptor: int) -> None:
        if stat.S_ISREG(os.fstat(descriptor).st_mode) == of_a_file:
            raise OSError(code, os.strerror(code))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", some)


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOTSUP])
def test_a_file_system_that_cannot_sync_a_directory_will_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    path = tmp_path / "state.json"
    refuse_a_sync(monkeypatch, code, of_a_file=False)
    open_before = len([*Path("/proc/self/fd").iterdir()])
    write_atomically(path, b"new")
    assert len([*Path("/proc/self/fd").iterdir()]) == open_before
    assert path.read_bytes() == b"new"


@pytest.mark.parametrize(
    ("code", "of_a_file"), [(errno.EINVAL, True), (errno.ENOTSUP, True), (errno.EIO, False)]
)
def test_any_other_sync_that_fails_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, of_a_file: bool
) -> None:
    refuse_a_sync(monkeypatch, code, of_a_file=of_a_file)
    with pytest.raises(StateUnusable, match=os.strerror(code)):
        write_atomically(tmp_path / "state.json", b"new")
