"""Where tests run, Python keeps what it compiles of the archives of Ansible's modules."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import CodeType
from typing import Any

import pytest

from emulator.host import compiled_modules


@pytest.fixture
def compilations(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """The paths that Python is asked to compile."""
    paths: list[str] = []

    def compile_it(path: str, source: bytes) -> CodeType:
        paths.append(path)
        return compile(source, path, "exec")

    monkeypatch.setattr(compiled_modules, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(compiled_modules, "_compile", compile_it)
    return paths


def result(path: str, source: str) -> Any:
    found: dict[str, Any] = {}
    exec(compiled_modules.compiled(path, source.encode()), found)
    return found["result"]


def test_what_is_the_same_is_compiled_once(compilations: list[str]) -> None:
    assert [result(f"/tmp/{run}.zip/ansible/basic.py", "result = 1") for run in "ab"] == [1, 1]
    assert result("/tmp/c.zip/ansible/basic.py", "result = 2") == 2
    assert result("/tmp/c.zip/ansible/other.py", "result = 2") == 2
    assert len(compilations) == 3


@pytest.mark.parametrize("damaged", [b"", b"\xff", b"c"])
def test_what_cannot_be_read_is_compiled(compilations: list[str], damaged: bytes) -> None:
    path, source = "/tmp/a.zip/ansible/basic.py", "result = 1"
    assert result(path, source) == 1
    [file] = compiled_modules.CACHE.iterdir()
    file.write_bytes(damaged)
    assert result(path, source) == 1
    assert len(compilations) == 2
    assert file.read_bytes() != damaged


def test_modules_are_compiled_without_a_place_to_keep_them(
    compilations: list[str], tmp_path: Path
) -> None:
    (tmp_path / "cache").write_text("a file")
    assert result("/tmp/a.zip/ansible/basic.py", "result = 1") == 1


def test_the_interpreter_of_modules_has_it() -> None:
    asked = "import zipimport; print(zipimport._compile_source.__code__.co_filename)"
    found = subprocess.run(
        [sys.executable, "-c", asked], capture_output=True, text=True, check=True
    )
    assert Path(found.stdout.strip()).read_bytes() == Path(compiled_modules.__file__).read_bytes()
