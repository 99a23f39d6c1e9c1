"""The files of a container: exactly those listed, for one user only, named by one digest."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

SECRET = "canary-in-a-secret-file"

Write = Callable[..., dict[str, Any]]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "instance" / "service"


@pytest.fixture
def write(run: Any, service_files: ModuleType, directory: Path) -> Write:
    """Return a function that makes the directory hold these files."""

    def run_with(*files: dict[str, Any], check: bool = False) -> dict[str, Any]:
        owner, group = os.getuid(), os.getgid()
        answer = run(
            service_files,
            check=check,
            path=str(directory),
            owner=owner,
            group=group,
            files=list(files),
        )
        return dict(answer)

    return run_with


def text(name: str, content: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "content": content, **more}


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_files_are_written_for_their_user_alone(write: Write, directory: Path) -> None:
    answer = write(text("password", SECRET), text("conf", "a=1\n"))
    assert answer["changed"]
    assert {path.name: path.read_text() for path in directory.iterdir()} == {
        "password": SECRET,
        "conf": "a=1\n",
    }
    assert {mode(path) for path in directory.iterdir()} == {0o400}
    assert mode(directory) == mode(directory.parent) == 0o700


def test_a_second_run_changes_nothing_and_names_the_same_digest(write: Write) -> None:
    first = write(text("a", "1"), text("b", "2"))
    second = write(text("b", "2"), text("a", "1"))
    assert not second["changed"]
    assert second["changed_files"] == []
    assert second["digest"] == first["digest"]


@pytest.mark.parametrize(
    "files",
    [
        [text("a", "2"), text("b", "2")],
        [text("a", "1")],
        [text("c", "1"), text("b", "2")],
        [text("a", "12"), text("b", "")],
    ],
)
def test_every_difference_gives_another_digest(write: Write, files: list[dict[str, Any]]) -> None:
    before = write(text("a", "1"), text("b", "2"))
    assert write(*files)["digest"] != before["digest"]


def test_files_that_are_no_longer_listed_are_removed(write: Write, directory: Path) -> None:
    write(text("old", SECRET), text("kept", "1"))
    answer = write(text("kept", "1"))
    assert answer["changed_files"] == ["old"]
    assert [path.name for path in directory.iterdir()] == ["kept"]


def test_sources_are_joined_in_order(write: Write, directory: Path, tmp_path: Path) -> None:
    key, certificate = tmp_path / "key", tmp_path / "certificate"
    key.write_text("KEY\n")
    certificate.write_text("CERTIFICATE\n")
    file = {"name": "tls.pem", "sources": [str(key), str(certificate)]}
    first = write(file)
    assert (directory / "tls.pem").read_text() == "KEY\nCERTIFICATE\n"
    certificate.write_text("RENEWED\n")
    assert write(file)["digest"] != first["digest"]


def test_a_missing_source_is_named_and_nothing_is_written(write: Write, directory: Path) -> None:
    file = {"name": "tls.pem", "sources": ["/nowhere/key.pem"]}
    answer = write(text("a", "1"), file)
    assert "/nowhere/key.pem" in answer["msg"]
    assert not directory.exists()
    assert write(file, check=True)["changed"]


def test_check_mode_predicts_and_touches_nothing(write: Write, directory: Path) -> None:
    predicted = write(text("a", "1"), check=True)
    assert predicted["changed"]
    assert not directory.parent.exists()
    assert write(text("a", "1"))["digest"] == predicted["digest"]
    assert not write(text("a", "1"), check=True)["changed"]


@pytest.mark.parametrize("damage", [0o644, 0o600])
def test_a_wrong_mode_is_repaired(write: Write, directory: Path, damage: int) -> None:
    write(text("a", "1"))
    (directory / "a").chmod(damage)
    assert write(text("a", "1"))["changed_files"] == ["a"]
    assert mode(directory / "a") == 0o400


def test_a_file_can_have_another_mode(write: Write, directory: Path) -> None:
    write(text("a", "1"))
    assert write(text("a", "1", mode="0600"))["changed_files"] == ["a"]
    assert mode(directory / "a") == 0o600
    assert not write(text("a", "1", mode="0600"))["changed"]


def test_a_link_is_replaced_and_not_followed(write: Write, directory: Path, tmp_path: Path) -> None:
    write()
    target = tmp_path / "target"
    target.write_text("untouched")
    (directory / "a").symlink_to(target)
    write(text("a", SECRET))
    assert target.read_text() == "untouched"
    assert not (directory / "a").is_symlink()


def test_secrets_are_in_no_answer(write: Write) -> None:
    answers = [
        write(text("password", SECRET), text("conf", "shown\n", secret=False)),
        write(text("password", SECRET + "-2"), text("conf", "shown\n", secret=False)),
        write(),
    ]
    assert SECRET not in str(answers)
    assert "shown" in str(answers[0]["diff"])


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../a"])
def test_a_name_that_leaves_the_directory_is_refused(write: Write, name: str) -> None:
    assert "not a file name" in write(text(name, "1"))["msg"]


def test_content_and_sources_exclude_each_other(write: Write) -> None:
    assert "either" in write({"name": "a"})["msg"]
    assert "either" in write(text("a", "1", sources=["/etc/hostname"]))["msg"]
