"""What is true of everything that replaces a file: it is whole, or as it was, whatever fails."""

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

Replace = Callable[[Path, bytes], object]


def refuse_a_sync(monkeypatch: pytest.MonkeyPatch, code: int, *, of_a_file: bool) -> None:
    fsync = os.fsync

    def some(descriptor: int) -> None:
        if stat.S_ISREG(os.fstat(descriptor).st_mode) == of_a_file:
            raise OSError(code, os.strerror(code))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", some)


class Replacing:
    """Who replaces a file says how (`replace`), and what is raised where that fails (`kind`)."""

    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        made = tmp_path / "file.json"
        made.write_bytes(b"old")
        return made

    def test_a_file_gets_its_name_when_its_content_is_on_the_disk(
        self, path: Path, replace: Replace, monkeypatch: pytest.MonkeyPatch
    ) -> None:
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
        replace(path, b"new")
        # Its content before it has its name; the directory when it has it.
        assert synced == [(b"new", b"old"), (bytes(path.parent), b"new")]
        assert len([*Path("/proc/self/fd").iterdir()]) == open_before
        assert path.read_bytes() == b"new"

    def test_a_disk_that_refuses_leaves_the_file_as_it_was(
        self,
        path: Path,
        replace: Replace,
        kind: type[Exception],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        refuse_a_sync(monkeypatch, errno.ENOSPC, of_a_file=True)
        with pytest.raises(kind, match="No space left"):
            replace(path, b"new")
        assert path.read_bytes() == b"old"

    @pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOTSUP])
    def test_a_file_system_that_cannot_sync_a_directory_will_do(
        self, path: Path, replace: Replace, monkeypatch: pytest.MonkeyPatch, code: int
    ) -> None:
        refuse_a_sync(monkeypatch, code, of_a_file=False)
        open_before = len([*Path("/proc/self/fd").iterdir()])
        replace(path, b"new")
        assert len([*Path("/proc/self/fd").iterdir()]) == open_before
        assert path.read_bytes() == b"new"

    @pytest.mark.parametrize(
        ("code", "of_a_file"), [(errno.EINVAL, True), (errno.ENOTSUP, True), (errno.EIO, False)]
    )
    def test_any_other_sync_that_fails_is_an_error(
        self,
        path: Path,
        replace: Replace,
        kind: type[Exception],
        monkeypatch: pytest.MonkeyPatch,
        code: int,
        of_a_file: bool,
    ) -> None:
        refuse_a_sync(monkeypatch, code, of_a_file=of_a_file)
        with pytest.raises(kind, match=os.strerror(code)):
            replace(path, b"new")
