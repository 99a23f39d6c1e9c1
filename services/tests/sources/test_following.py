"""following: each line of a file once, that is renamed, copied, cut off, compressed and removed."""

import bz2
import errno
import gzip
import lzma
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.sources import following, marks, packed
from millrace.sources.candidates import is_rotated
from millrace.sources.following import Following

NOW = 2_000_000_000.0
NAME = "usage.jsonl"


class Follower:
    """Who reads, with what is kept of it; and what others do to the file."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.file = directory / NAME
        self.clock = NOW
        self.minutes = 0
        self.named: set[str] = set()
        """What was told to be the files of what was read, and of what is lost."""
        self.pace = 60
        self.start()
        self.kept: tuple[Any, int] = ([], self.following.begun())
        self.now = self.kept

    def at(self, age: int, suffix: str = "") -> Path:
        return self.directory / f"{NAME}.{age}{suffix}"

    def write(self, *lines: str, file: Path | None = None, end: str = "\n") -> None:
        with (file or self.file).open("a") as opened:
            self.write_to(opened.buffer, *lines, end=end)  # type: ignore[arg-type]

    def write_to(self, file: BinaryIO, *lines: str, end: str = "\n") -> None:
        """A minute later than what was written before."""
        file.write(("\n".join(lines) + end).encode())
        file.flush()
        self.touch(file.fileno())

    def touch(self, file: int | Path) -> None:
        self.minutes += 1
        at = NOW - 10**6 + self.pace * self.minutes
        os.utime(file, (at, at))

    def make_room(self) -> None:
        for age in range(40, 0, -1):
            for suffix in ("", ".gz"):
                if self.at(age, suffix).exists():
                    self.at(age, suffix).rename(self.at(age + 1, suffix))

    def rotate(self) -> None:
        self.make_room()
        self.file.rename(self.at(1))

    def cut(self) -> None:
        """Copy, then cut off."""
        self.make_room()
        shutil.copy(self.file, self.at(1))
        os.truncate(self.file, 0)
        self.touch(self.at(1))
        self.touch(self.file)

    def pack(self, age: int = 1, suffix: str = ".gz", how: Callable[..., Any] = gzip.open) -> None:
        plain, packed = self.at(age), self.at(age, suffix)
        with how(packed, "wb") as file:
            file.write(plain.read_bytes())
        shutil.copystat(plain, packed)
        plain.unlink()

    def look(self) -> tuple[list[str], list[str]]:
        """The lines, and what is lost."""
        self.kept = self.now
        try:
            reading = self.following.look(*self.kept, self.clock)
        except FileNotFoundError:
            return [], []
        self.now = (reading.marks, reading.written)
        self.named |= {record.where.split(",")[0] for record in reading.records}
        self.named |= {lost.symbol for lost in reading.lost}
        lines = [record.raw.decode() for record in reading.records]
        return lines, [lost.reason for lost in reading.lost]

    def start(self) -> None:
        """Again: nothing is open any more."""
        self.following = Following(self.file)

    def crash(self) -> None:
        """What was read last was not acknowledged."""
        self.now = self.kept


@pytest.fixture
def follower(tmp_path: Path) -> Follower:
    return Follower(tmp_path)


@pytest.mark.parametrize("crashes", [False, True])
def test_a_line_that_is_copied_before_it_is_read_is_read_in_the_copy(
    follower: Follower, crashes: bool
) -> None:
    follower.write("a")
    assert follower.look() == (["a"], [])
    if crashes:
        follower.crash()
    follower.write("b")
    follower.cut()
    follower.write("c")
    assert follower.look() == ((["a"] if crashes else []) + ["b", "c"], [])
    follower.write("d")
    follower.cut()
    assert follower.look() == (["d"], [])
    assert follower.look() == ([], [])


@pytest.mark.parametrize("keeps_times", [True, False])
def test_what_is_cut_off_without_a_copy_is_told(follower: Follower, *, keeps_times: bool) -> None:
    """Also where an earlier version, which kept no times, has read it."""
    follower.write("old", file=follower.at(1))
    follower.now = ([], follower.following.begun())
    follower.write("a", "b")
    follower.look()
    if not keeps_times:
        follower.now = (follower.now[0], 0)
    os.truncate(follower.file, 0)
    follower.write("c")
    for _ in range(2):
        lines, (lost,) = follower.look()
        assert lines == ["c"]
        assert "behind byte 4" in lost
        follower.crash()
    follower.look()
    assert follower.look() == ([], [])


def test_what_is_cut_off_while_it_is_looked_at_is_told_at_the_next_look(
    follower: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    follower.write("a", "b")
    follower.look()
    follower.rotate()
    follower.write("c")
    follower.look()
    around = packed.around

    def cut(path: Path, offset: int, most: int) -> tuple[bytes, bytes]:
        if path == follower.at(1) and offset and most:
            os.truncate(path, 0)
        return around(path, offset, most)

    monkeypatch.setattr(packed, "around", cut)
    follower.write("d")
    assert follower.look() == (["d"], [])
    lines, (lost,) = follower.look()
    assert not lines
    assert "behind byte 4" in lost


def test_an_old_file_is_read_as_long_as_a_writer_has_it_open(follower: Follower) -> None:
    follower.write("a")
    with follower.file.open("ab") as slow:
        follower.rotate()
        follower.write("b")
        assert follower.look() == (["a", "b"], [])
        follower.write_to(slow, "c")
        follower.write("d")
        assert follower.look() == (["c", "d"], [])
        follower.rotate()
        follower.write("e")
        follower.write_to(slow, "f")
        follower.write("g", file=follower.at(1))
        assert follower.look() == (["f", "g", "e"], [])


def test_the_last_line_of_an_old_file_may_be_written_yet(follower: Follower) -> None:
    follower.write("a")
    follower.look()
    with follower.file.open("ab") as slow:
        follower.rotate()
        follower.write("c")
        follower.write_to(slow, "b", end="")
        os.utime(slow.fileno(), (NOW - 9, NOW - 9))
        assert follower.look() == (["c"], [])
        os.utime(slow.fileno(), (NOW - 11, NOW - 11))
        assert follower.look() == (["b"], [])


@pytest.mark.parametrize(
    ("suffix", "how"), [(".gz", gzip.open), (".bz2", bz2.open), (".xz", lzma.open)]
)
def test_what_is_compressed_at_once_is_read(follower: Follower, suffix: str, how: Any) -> None:
    follower.write("a")
    follower.look()
    follower.write("b")
    follower.rotate()
    follower.pack(1, suffix, how)
    follower.start()
    follower.write("c")
    for _ in range(2):
        assert follower.look() == (["b", "c"], [])
        follower.crash()
    assert follower.look() == (["b", "c"], [])
    # It is read, and may be removed.
    follower.at(1, suffix).unlink()
    assert follower.look() == ([], [])


def test_after_a_file_that_was_compressed_the_next_is_waited_for(follower: Follower) -> None:
    follower.write("a")
    follower.look()
    follower.write("b")
    follower.rotate()
    follower.pack()
    follower.start()
    assert follower.look() == (["b"], [])
    with pytest.raises(FileNotFoundError, match=NAME):
        follower.following.look(*follower.now, follower.clock)
    follower.write("c")
    assert follower.look() == (["c"], [])


def test_files_that_came_and_were_compressed_meanwhile_are_read(follower: Follower) -> None:
    follower.write("before")
    follower.rotate()
    follower.pack()
    follower.kept = follower.now = ([], follower.following.begun())
    follower.write("a")
    follower.look()
    for lines in ("b", "c", "d"):
        follower.write(lines)
        follower.rotate()
        follower.pack()
    follower.write("e")
    follower.start()
    assert follower.look() == (["b", "c", "d", "e"], [])
    assert follower.look() == ([], [])


def test_parts_of_what_is_compressed_are_read_one_after_the_other(
    follower: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "CHUNK", 8)
    follower.write("a")
    follower.look()
    follower.write(*"bcdefghijk")
    follower.rotate()
    follower.pack()
    follower.start()
    follower.write("l")
    assert [one for _ in range(6) for one in follower.look()[0]] == [*"bcdefghijkl"]


def test_what_is_compressed_to_what_nobody_here_reads_is_told(follower: Follower) -> None:
    follower.write("a")
    follower.look()
    follower.write("b")
    follower.rotate()
    follower.at(1).unlink()
    follower.at(1, ".zst").write_bytes(b"(\xb5/\xfd" + bytes(99))
    follower.start()
    follower.write("c")
    lines, (lost,) = follower.look()
    assert lines == ["c"]
    assert "compressed to none of" in lost


def test_what_cannot_be_unpacked_to_its_end_is_told(follower: Follower) -> None:
    follower.write("a" * 5000)
    follower.look()
    follower.write(os.urandom(5000).hex())
    follower.rotate()
    follower.pack()
    packed = follower.at(1, ".gz")
    status = packed.stat()
    packed.write_bytes(packed.read_bytes()[:3000])
    os.utime(packed, (status.st_atime, status.st_mtime))
    follower.start()
    follower.write("c")
    lines, (lost,) = follower.look()
    assert lines == ["c"]
    assert "cannot be unpacked" in lost


def test_an_old_file_that_is_removed_is_told_unless_it_was_complete(follower: Follower) -> None:
    follower.write("a")
    follower.rotate()
    follower.write("b")
    follower.look()
    follower.at(1).unlink()
    follower.start()
    assert "behind byte 2" in follower.look()[1][0]
    follower.rotate()
    for number in range(11):
        follower.write(str(number))
    follower.look()
    follower.at(1).unlink()
    assert follower.look() == ([], [])


def descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_what_is_written_to_a_file_without_a_name_is_read(follower: Follower) -> None:
    """Until others were written to for ten minutes."""
    follower.write("a")
    follower.look()
    with follower.file.open("ab") as slow:
        follower.rotate()
        follower.pack()
        follower.write_to(slow, "b")
        follower.write("c")
        assert follower.look() == (["b", "c"], [])
        assert follower.look() == ([], [])
        follower.write_to(slow, "d")
        assert follower.look() == (["d"], [])
        held, opened = descriptors(), []
        for number in range(13):
            follower.write(str(number))
            assert follower.look() == ([str(number)], [])
            opened.append(descriptors() - held)
        assert opened == [0] * 10 + [-1] * 3
    assert follower.named == {NAME}


def test_nothing_stays_open_of_who_follows_no_more(follower: Follower) -> None:
    follower.write("a")
    follower.look()
    held = descriptors()
    follower.start()
    assert descriptors() == held - 1


@pytest.mark.parametrize("is_linked", [False, True], ids=["renamed", "a link"])
def test_what_is_written_to_a_file_that_lies_elsewhere_is_read(
    follower: Follower, *, is_linked: bool
) -> None:
    one, two = follower.directory / "usage-1.jsonl", follower.directory / "usage-2.jsonl"
    if is_linked:
        follower.file.symlink_to(one)
    follower.write("a")
    follower.look()
    follower.write("b")
    with follower.file.open("ab") as slow:
        if is_linked:
            follower.file.unlink()
            follower.file.symlink_to(two)
        else:
            follower.file.rename(one)
        follower.write("c")
        assert follower.look() == (["b", "c"], [])
        follower.write_to(slow, "d")
        assert follower.look() == (["d"], [])
    assert follower.named == {NAME}


@pytest.mark.parametrize(
    "suffix",
    [
        *(".1", "-20281128", ".2028-11-28T22:00:00Z", ".2028-11-28T22:00:00+00:00", "_1"),
        *("-1.old", ".1.log", ".bak1", ".rot1", ".old", ".1.gz", ".2028-11-28T22:00:00Z.gz"),
    ],
)
def test_a_file_that_came_and_was_renamed_meanwhile_is_read(
    follower: Follower, suffix: str
) -> None:
    follower.write("a")
    follower.look()
    follower.write("b")
    follower.file.rename(follower.directory / f"{NAME}.first.1")
    follower.write("c")
    renamed = follower.directory / f"{NAME}{suffix}"
    if suffix.endswith(".gz"):
        with gzip.open(renamed, "wb") as file:
            file.write(follower.file.read_bytes())
        shutil.copystat(follower.file, renamed)
        follower.file.unlink()
    else:
        follower.file.rename(renamed)
    follower.write("d")
    follower.start()
    assert follower.look() == (["b", "c", "d"], [])
    assert follower.look() == ([], [])


def test_a_file_that_was_removed_is_waited_for_when_nobody_writes_to_it_any_more(
    follower: Follower,
) -> None:
    follower.write("a")
    follower.look()
    held = descriptors()
    with follower.file.open("ab") as slow:
        follower.file.unlink()
        follower.write_to(slow, "b")
    written = NOW - 10**6 + 120
    follower.clock = written + 600
    assert follower.look() == (["b"], [])
    assert follower.look() == ([], [])
    assert follower.following.look(*follower.now, follower.clock).marks
    follower.clock = written + 601
    assert follower.look() == ([], [])
    for _ in range(2):
        with pytest.raises(FileNotFoundError, match=NAME):
            follower.following.look(*follower.now, follower.clock)
    assert descriptors() == held - 1
    follower.write("c")
    assert follower.look() == (["c"], [])


@pytest.mark.parametrize("end", ["\n", ""])
def test_what_was_written_to_a_removed_file_is_read_however_late(
    follower: Follower, end: str
) -> None:
    follower.write("a")
    follower.look()
    follower.write("b", "c", end=end)
    follower.file.unlink()
    assert follower.look() == (["b", "c"] if end else ["b"], [])
    lines, lost = follower.look()
    assert (lines, len(lost)) == ([], 0 if end else 1)
    with pytest.raises(FileNotFoundError, match=NAME):
        follower.following.look(*follower.now, follower.clock)


@pytest.mark.parametrize(
    ("suffix", "data"),
    [
        (".bz2", b"BZh9" + b"x" * 99),
        (".gz", b"x" * 99),
        (".xz", b"\xfd7zXZ\0" + b"x" * 99),
        (".gz", gzip.compress(b"x")[:10] + b"\xff" * 99),
    ],
)
def test_a_file_that_cannot_be_unpacked_holds_up_no_other(
    follower: Follower, suffix: str, data: bytes
) -> None:
    follower.write("a")
    follower.look()
    follower.at(1, suffix).write_bytes(data)
    follower.touch(follower.at(1, suffix))
    assert follower.look() == ([], ["it cannot be unpacked"])
    assert f"{NAME}.1{suffix}" in follower.named
    follower.write("b")
    assert follower.look() == (["b"], [])
    assert follower.look() == ([], [])


WHOLE = "\n".join(os.urandom(40).hex() for _ in range(100)).encode() + b"\n"
LINES = WHOLE.decode().split()
HOWS = [(".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress)]
CUTS = [0, 1, 9, 2000, -1]


def come(follower: Follower, data: bytes, suffix: str, minutes: int) -> None:
    """So much of a compressed file is there, and was written to then."""
    packed = follower.at(1, suffix)
    packed.write_bytes(data)
    at = NOW - 10**6 + 60 * minutes
    os.utime(packed, (at, at))


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize(("suffix", "how"), HOWS)
def test_what_is_not_compressed_yet_is_read_once_it_is(
    follower: Follower, suffix: str, how: Callable[[bytes], bytes], cut: int
) -> None:
    follower.write("a")
    follower.look()
    follower.clock = NOW - 10**6 + 60 * 5
    come(follower, how(WHOLE)[:cut], suffix, 5)
    assert follower.look() == ([], [])
    follower.write("b")
    follower.write("c")
    assert follower.look() == (["b", "c"], [])
    follower.start()
    # Who copies it gives it the time of the original when it is whole.
    come(follower, how(WHOLE), suffix, 2)
    assert follower.look() == (LINES, [])
    assert follower.look() == ([], [])
    follower.write("d")
    assert follower.look() == (["d"], [])


def test_an_earlier_version_that_kept_no_time_waits_for_what_is_not_compressed_yet(
    follower: Follower,
) -> None:
    follower.write("a")
    follower.look()
    follower.now = (follower.now[0], 0)
    follower.clock = NOW - 10**6 + 60 * 5
    come(follower, gzip.compress(WHOLE)[:9], ".gz", 5)
    follower.write("b")
    assert follower.look() == (["b"], [])
    follower.write("c")
    assert follower.look() == (["c"], [])
    come(follower, gzip.compress(WHOLE), ".gz", 3)
    assert follower.look() == (LINES, [])


def test_nobody_waits_for_what_is_damaged_and_dated_ahead(follower: Follower) -> None:
    follower.write("a")
    follower.look()
    follower.clock = NOW - 10**6 + 60 * 5
    come(follower, gzip.compress(WHOLE)[:9], ".gz", 5 + 60)
    assert follower.look() == ([], ["it cannot be unpacked"])
    assert follower.look() == ([], [])


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize(("suffix", "how"), HOWS)
def test_what_stays_damaged_is_told_once_when_nobody_writes_to_it_any_more(
    follower: Follower, suffix: str, how: Callable[[bytes], bytes], cut: int
) -> None:
    follower.write("a")
    follower.look()
    come(follower, how(WHOLE)[:cut], suffix, 5)
    told = []
    for seconds in (-2, 0, 599, 600, 601, 9999):
        follower.clock = NOW - 10**6 + 60 * 5 + seconds
        lines, lost = follower.look()
        told.append(len(lost))
        assert not lines
    assert told == [0, 0, 0, 1, 0, 0]
    assert f"{NAME}.1{suffix}" in follower.named
    # It is another one then, and judged anew.
    come(follower, how(WHOLE), suffix, 6)
    assert follower.look() == (LINES, [])


def test_parts_of_what_is_not_compressed_yet_are_read_once(
    follower: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "CHUNK", 20_000)
    lines = [os.urandom(2000).hex() for _ in range(200)]
    data = gzip.compress("\n".join([*lines, ""]).encode())
    follower.write("a")
    follower.look()
    follower.clock = NOW - 10**6 + 60 * 5
    read = []
    for part in (data[: len(data) // 2], data):
        come(follower, part, ".gz", 5)
        for _ in range(60):
            found, lost = follower.look()
            assert not lost
            read += found
        if part is not data:
            assert 0 < len(read) < 200
            follower.start()
    assert read == lines


@pytest.mark.parametrize(
    ("cut", "told"),
    [
        (9, ["what was written behind byte 2", "it cannot be unpacked"]),
        (3000, ["it cannot be unpacked behind byte 2"]),
    ],
)
@pytest.mark.parametrize("stays", [True, False])
def test_a_file_whose_compressed_form_is_not_whole_yet_is_waited_for(
    follower: Follower, stays: bool, cut: int, told: list[str]
) -> None:
    follower.write("a")
    follower.look()
    follower.write(*LINES)
    follower.rotate()
    data = gzip.compress(follower.at(1).read_bytes())
    follower.at(1).unlink()
    follower.clock = NOW - 10**6 + 60 * 5
    come(follower, data[:cut], ".gz", 5)
    follower.start()
    follower.write("c")
    assert follower.look() == (["c"], [])
    assert follower.look() == ([], [])
    if stays:
        follower.clock += 600
        lines, lost = follower.look()
        assert not lines
        assert [text.split(",")[0] for text in lost] == told
        assert follower.look() == ([], [])
    else:
        come(follower, data, ".gz", 2)
        assert follower.look() == (LINES, [])
        assert follower.look() == ([], [])


@pytest.mark.parametrize("is_known", [True, False])
def test_a_file_that_is_compressed_beside_itself_is_read_once(
    follower: Follower, is_known: bool
) -> None:
    follower.clock = NOW - 10**6 + 60 * 5
    follower.write("a")
    follower.look()
    if not is_known:
        follower.rotate()
    follower.write(*LINES)
    follower.rotate()
    follower.write("b")
    data, written = gzip.compress(follower.at(1).read_bytes()), follower.minutes - 1
    told = []
    for part in (data[:0], data[:3000], data):
        come(follower, part, ".gz", 5)
        told += follower.look()[0]
    come(follower, data, ".gz", written)
    follower.at(1).unlink()
    follower.start()
    for _ in range(3):
        lines, lost = follower.look()
        told += lines
        assert not lost
    assert told == [*LINES, "b"]


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch) -> set[Path]:
    """Files that must not be read, whoever runs the tests."""
    paths: set[Path] = set()

    def guarded(read: Callable[..., Any]) -> Callable[..., Any]:
        def guard(path: Path, *args: Any) -> Any:
            if path in paths:
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
            return read(path, *args)

        return guard

    monkeypatch.setattr(os, "open", guarded(os.open))
    monkeypatch.setattr(packed, "around", guarded(packed.around))
    return paths


@pytest.mark.parametrize("is_known", [True, False])
@pytest.mark.parametrize("is_packed", [True, False])
def test_a_file_that_must_not_be_read_is_told_once_and_read_when_it_may_be(
    follower: Follower,
    refused: set[Path],
    monkeypatch: pytest.MonkeyPatch,
    is_known: bool,
    is_packed: bool,
) -> None:
    follower.write("a")
    follower.look()
    if is_packed and is_known:
        # What it was compressed to is known, and then it may not be read any more.
        follower.write("b")
        follower.rotate()
        follower.pack()
        with monkeypatch.context() as small:
            small.setattr(following, "CHUNK", 2)
            follower.start()
            assert follower.look() == (["b"], [])
        with gzip.open(follower.at(1, ".gz"), "ab") as file:
            file.write(b"c\n")
        follower.touch(follower.at(1, ".gz"))
    else:
        if not is_known:
            follower.rotate()
        follower.write("c")
        follower.rotate()
        if is_packed:
            follower.pack()
    follower.write("between")
    follower.rotate()
    old = follower.at(2, ".gz" if is_packed else "")
    refused.add(old)
    follower.start()
    follower.write("d")
    assert follower.look() == (["between", "d"], ["it cannot be read: Permission denied"])
    assert old.name in follower.named
    follower.write("e")
    assert follower.look() == (["e"], [])
    refused.clear()
    assert follower.look() == (["c"], [])
    assert follower.look() == ([], [])


def test_a_file_that_must_not_be_read_hides_no_other(
    follower: Follower, refused: set[Path]
) -> None:
    follower.write("a")
    follower.look()
    follower.write("x", file=follower.at(9))
    follower.write("b")
    follower.rotate()
    refused.add(follower.at(10))
    follower.pack()
    follower.start()
    follower.write("c")
    assert follower.look() == (["b", "c"], ["it cannot be read: Permission denied"])


def test_what_is_removed_before_it_may_be_read_is_told(
    follower: Follower, refused: set[Path]
) -> None:
    follower.write("a")
    follower.look()
    follower.rotate()
    follower.write("b")
    follower.rotate()
    refused.add(follower.at(1))
    follower.write("c")
    assert follower.look() == (["c"], ["it cannot be read: Permission denied"])
    follower.at(1).unlink()
    follower.start()
    lines, (lost,) = follower.look()
    assert not lines
    assert "behind byte 0" in lost


def test_what_is_written_behind_a_clock_that_was_ahead_is_read(follower: Follower) -> None:
    follower.write("a")
    os.utime(follower.file, (NOW + 3600, NOW + 3600))
    assert follower.look() == (["a"], [])
    follower.clock = NOW + 100
    for line, seconds in (("b", 50), ("c", 60)):
        follower.write(line)
        os.utime(follower.file, (NOW + seconds, NOW + seconds))
        follower.rotate()
    follower.write("d")
    assert follower.look() == (["b", "c", "d"], [])
    assert follower.look() == ([], [])


def test_what_is_compressed_and_dated_ahead_is_read_once(follower: Follower) -> None:
    follower.write("a")
    follower.look()
    follower.write("b")
    os.utime(follower.file, (NOW + 3600, NOW + 3600))
    follower.rotate()
    follower.pack()
    follower.start()
    follower.write("c")
    assert follower.look() == (["b", "c"], [])
    for later in (0, 1800, 3700, 3800):
        follower.clock = NOW + later
        assert follower.look() == ([], [])


def test_of_files_that_begin_alike_the_oldest_is_what_was_read(follower: Follower) -> None:
    follower.write("first", "before")
    follower.rotate()
    follower.kept = follower.now = ([], follower.following.begun())
    follower.write("first")
    follower.look()
    follower.write("a")
    follower.rotate()
    follower.pack()
    follower.write("first", "b")
    follower.start()
    assert follower.look() == (["a", "first", "b"], [])


@pytest.mark.parametrize(
    ("is_packed", "largest", "lost"),
    [(False, 1, 0), (True, 1, 1), (True, 2, 0)],
)
def test_no_more_than_a_bound_is_unpacked_to_find_where_reading_goes_on(
    follower: Follower,
    monkeypatch: pytest.MonkeyPatch,
    is_packed: bool,
    largest: int,
    lost: int,
) -> None:
    monkeypatch.setattr(marks, "LARGEST", largest)
    follower.write("a")
    follower.look()
    follower.write("b")
    follower.cut()
    if is_packed:
        follower.pack()
    follower.write("cd")
    assert len(follower.look()[1]) == lost


@pytest.mark.parametrize("packs", [False, True])
def test_more_files_than_are_remembered_are_read_once(
    follower: Follower, monkeypatch: pytest.MonkeyPatch, *, packs: bool
) -> None:
    monkeypatch.setattr(following, "MOST_FILES", 3)
    monkeypatch.setattr(following, "CHUNK", 2 * 400)
    follower.write("0" * 300)
    assert follower.look() == (["0" * 300], [])
    expected = [f"{number:0300}" for number in range(1, 21)]
    for line in expected:
        follower.rotate()
        if packs:
            follower.pack()
        follower.write(line)
    told: list[str] = []
    for _ in range(25):
        lines, lost = follower.look()
        assert lost == []
        told += lines
        follower.start()
    assert told == expected
    assert len(follower.now[0]) <= 3 + 1


@pytest.mark.parametrize("begun", ["[", "{", "x" * 200])
def test_a_file_that_begins_as_a_short_one_does_is_no_copy(follower: Follower, begun: str) -> None:
    follower.write(begun)
    follower.look()
    follower.rotate()
    follower.write(begun, "a" * 300)
    follower.rotate()
    follower.write(begun)
    assert "a" * 300 in follower.look()[0]


NAMES = [
    ".1",
    ".Nov-28",
    ".2028-11-28_22h",
    "-2028-W48",
    ".log.1",
    ".1.processed",
    ".backup",
    ".prev",
]
NAMES += [".save", "~", ".2028-11-28T22:00:00+00:00", ".OLD", "-20281128.bak"]


@pytest.mark.parametrize("suffix", NAMES)
def test_a_file_that_was_renamed_twice_between_looks_is_read(
    follower: Follower, suffix: str
) -> None:
    follower.write("a")
    follower.look()
    follower.file.rename(follower.at(1))
    follower.write("b")
    follower.file.rename(follower.directory / f"{NAME}{suffix if suffix != '.1' else '.0'}")
    follower.write("c")
    assert follower.look() == (["b", "c"], [])


def test_a_new_file_of_a_strange_name_is_said_not_to_be_read(follower: Follower) -> None:
    follower.write("a")
    follower.look()
    follower.file.rename(follower.at(1))
    follower.write("b")
    follower.file.rename(follower.directory / f"{NAME}.1.zst")
    follower.write("c")
    lines, lost = follower.look()
    assert (lines, [one.split(":")[0] for one in lost]) == (["c"], ["it is not read"])
    assert f"{NAME}.1.zst" in follower.named
    assert follower.look() == ([], [])


def test_files_that_begin_alike_for_longer_than_a_mark_are_two(follower: Follower) -> None:
    probe = "x" * 3000
    follower.write(probe, "a")
    follower.look()
    follower.rotate()
    follower.write(probe, "b")
    follower.rotate()
    follower.write(probe, "c")
    assert follower.look() == ([probe, "b", probe, "c"], [])


def test_a_long_name_is_soon_told_from_one_of_a_rotated_file(tmp_path: Path) -> None:
    live = tmp_path / NAME
    for part in ("-1", ".1", ".old", "1:", ".jan"):
        assert not is_rotated(tmp_path / f"{NAME}{part * 40}!", live)


def test_it_is_said_that_there_is_more_than_one_look_brings(
    follower: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "CHUNK", 8)
    follower.write("abc", "def", "ghi")
    reading = follower.following.look([], 0, follower.clock)
    assert ([record.raw for record in reading.records], reading.has_more) == (
        [b"abc", b"def"],
        True,
    )
    reading = follower.following.look(reading.marks, reading.written, follower.clock)
    assert ([record.raw for record in reading.records], reading.has_more) == ([b"ghi"], False)


def test_copies_beside_the_file_are_not_read(follower: Follower) -> None:
    follower.write("a")
    follower.look()
    follower.write("b")
    shutil.copy(follower.file, follower.at(1))
    follower.touch(follower.at(1))
    with gzip.open(follower.at(2, ".gz"), "wb") as file:
        file.write(follower.file.read_bytes())
    follower.touch(follower.at(2, ".gz"))
    (follower.directory / f"{NAME}.swp").write_text("x\n")
    assert follower.look() == (["b"], [])
    assert follower.look() == ([], [])


STEPS = ["write", "write", "slow", "reopen", "rotate", "cut", "pack", "look", "look", "crash"]


@given(st.lists(st.sampled_from(STEPS), max_size=30))
def test_whatever_is_done_to_a_file_each_line_is_read(steps: list[str]) -> None:
    """One writer goes on with what it has open until it reopens, another does so at once."""
    with tempfile.TemporaryDirectory() as directory:
        follower = Follower(Path(directory))
        follower.pace = 1
        # A file that was removed is read until nobody has written to it for ten minutes.
        follower.clock = NOW - 10**6 + 100
        follower.write("first")
        written, told, crashes = ["first"], [], 0
        slow = follower.file.open("ab")
        for number, step in enumerate(steps):
            line = f"{number}-{os.urandom(4).hex()}"
            match step:
                case "write":
                    follower.write(line)
                    written.append(line)
                case "slow":
                    follower.write_to(slow, line)
                    written.append(line)
                case "reopen":
                    slow.close()
                    slow = follower.file.open("ab")
                case "rotate" if follower.file.exists() and follower.file.stat().st_size:
                    follower.rotate()
                case "cut" if follower.file.exists() and follower.file.stat().st_size:
                    follower.cut()
                case "pack" if follower.at(1).exists():
                    # What nobody has seen before it lost its name cannot be read.
                    told += follower.look()[0]
                    follower.pack()
                case "look":
                    lines, lost = follower.look()
                    told += lines
                    assert crashes or not lost
                case "crash":
                    told += follower.look()[0]
                    follower.crash()
                    follower.start()
                    crashes += 1
                    if not os.fstat(slow.fileno()).st_nlink:
                        # Nor can what is written to a file without a name from now on.
                        slow.close()
                        slow = follower.file.open("ab")
        slow.close()
        for _ in range(2):
            told += follower.look()[0]
        assert sorted(set(told)) == sorted(written)
        assert crashes or len(told) == len(written)
