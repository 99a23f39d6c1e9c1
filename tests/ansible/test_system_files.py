"""Configuration files are checked before they count, and applied once, even after a kill."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.ansible.conftest import ROOT, Run, load


@pytest.fixture
def entry(tmp_path: Path) -> dict[str, Any]:
    log = tmp_path / "applied"
    return {
        "path": str(tmp_path / "etc" / "a.conf"),
        "content": "a=1\n",
        "check": ["grep", "-q", "a=", str(tmp_path / "etc" / "a.conf")],
        "apply": ["sh", "-c", f"echo once >> {log}"],
    }


@pytest.fixture
def files(run: Run, tmp_path: Path) -> Any:
    module = load(ROOT / "plugins/modules/system_files.py")

    def write(*entries: dict[str, Any], check: bool = False) -> dict[str, Any]:
        return run(module, check=check, files=list(entries), state=str(tmp_path / "state.json"))

    return write


def times(tmp_path: Path) -> int:
    log = tmp_path / "applied"
    return len(log.read_text().splitlines()) if log.exists() else 0


def test_files_are_written_and_applied_once_for_all(
    files: Any, entry: dict[str, Any], tmp_path: Path
) -> None:
    other = entry | {"path": str(tmp_path / "etc" / "b.conf"), "check": []}
    assert files(entry, other, check=True)["changed"]
    assert not Path(entry["path"]).exists()
    assert files(entry, other)["changed"]
    assert Path(entry["path"]).read_text() == "a=1\n"
    assert times(tmp_path) == 1
    assert not files(entry, other)["changed"]
    assert times(tmp_path) == 1


def test_what_cannot_be_used_is_put_back(files: Any, entry: dict[str, Any], tmp_path: Path) -> None:
    files(entry)
    new = {"path": str(tmp_path / "etc" / "new.conf"), "content": "x\n"}
    answer = files(new, entry | {"content": "b=1\n"})
    assert "all files are unchanged" in answer["msg"]
    assert Path(entry["path"]).read_text() == "a=1\n"
    assert not Path(new["path"]).exists()
    assert times(tmp_path) == 1


def test_a_run_that_was_cut_short_is_finished_by_the_next(
    files: Any, entry: dict[str, Any], tmp_path: Path
) -> None:
    broken = entry | {"apply": ["false"]}
    assert files(broken)["failed"]
    assert Path(entry["path"]).read_text() == "a=1\n"
    assert files(entry)["changed"]
    assert times(tmp_path) == 1


def test_an_empty_content_removes_the_file_and_that_is_applied(
    files: Any, entry: dict[str, Any], tmp_path: Path
) -> None:
    gone = entry | {"content": "", "check": []}
    assert not files(gone)["changed"]
    files(entry)
    assert files(gone)["changed"]
    assert not Path(entry["path"]).exists()
    assert times(tmp_path) == 2
    assert not files(gone)["changed"]
