"""`make test` says what did not pass, and how long each part took."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
from tests.ansible.conftest import ROOT

PARTS = ["lint --output-sync", "test-unit"]
WHOLE = [*PARTS, "test-provisioning --output-sync", "molecule"]


def run(tmp_path: Path, *arguments: str, failing: str = "none") -> tuple[int, list[str], str]:
    """Run it with a make that fails for one part: the status, what was made, what it says."""
    made = tmp_path / "made"
    make = tmp_path / "make"
    make.write_text(
        f'#!/bin/sh\nshift\necho "$*" >>{made}\nnice >{tmp_path}/$1.nice\n'
        f'[ "$1" != {failing} ] || exit 2\n'
        '[ -z "$MAKEFLAGS" ]\n'
    )
    make.chmod(0o755)
    done = subprocess.run(
        [ROOT / "scripts/test", *arguments],
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}", "MAKEFLAGS": "n"},
        capture_output=True,
        text=True,
        check=False,
    )
    said = done.stdout + done.stderr
    return done.returncode, made.read_text().splitlines() if made.exists() else [], said


@pytest.mark.parametrize(
    ("arguments", "parts"), [((), WHOLE), (("--quick",), [*PARTS, "molecule SCENARIOS=default"])]
)
def test_all_parts_run_and_are_in_the_table(
    tmp_path: Path, arguments: tuple[str, ...], parts: list[str]
) -> None:
    """A word of scenarios that is empty would be none of them, not all."""
    status, made, said = run(tmp_path, *arguments)
    assert status == 0
    assert sorted(made) == sorted(parts)
    table = re.findall(r"^  (\S+) +passed +\d+ s$", said.split("how long each took:")[1], re.M)
    assert sorted(table) == sorted(part.split()[0] for part in parts)


@pytest.mark.parametrize("failing", ["lint", "test-unit", "test-provisioning", "molecule"])
def test_a_part_that_fails_fails_the_whole(tmp_path: Path, failing: str) -> None:
    """The others run to their end."""
    status, made, said = run(tmp_path, failing=failing)
    assert status == 1
    assert sorted(made) == sorted(WHOLE)
    assert re.search(rf"^  {failing} +FAILED +\d+ s$", said, re.M)


def test_linters_and_unit_tests_leave_the_processors_to_the_scenarios(tmp_path: Path) -> None:
    run(tmp_path)
    nice = {part: int((tmp_path / f"{part}.nice").read_text()) for part in ("lint", "test-unit")}
    own = int((tmp_path / "molecule.nice").read_text())
    assert nice == dict.fromkeys(nice, min(own + 10, 19))


def test_what_is_not_understood_runs_nothing(tmp_path: Path) -> None:
    status, made, said = run(tmp_path, "--quik")
    assert (status, made) == (2, [])
    assert said == "millrace: there is no --quik; scripts/test --help says more\n"
