"""The page of commands says what their help says."""

from __future__ import annotations

import subprocess
import sys

import pytest
from tests.ansible.conftest import ROOT

from millrace.runtime.exit_codes import Exit

PAGE = ROOT / "docs/operating/commands.md"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, ROOT / "scripts/command-docs", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_page_is_up_to_date() -> None:
    assert run("--check").returncode == 0, run("--check").stderr


@pytest.mark.parametrize("code", Exit)
def test_every_exit_code_is_on_the_page(code: Exit) -> None:
    assert f"| {code:d} | {code.meaning} |\n" in PAGE.read_text()
