"""The role `images` gets what is missing, one image a step, and asks once where nothing is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.ansible.conftest import ROOT

# Stands in for images/build: an image is there once its name is a file.
PROGRAM = """
import pathlib, sys
here = pathlib.Path(__file__).parent
arguments = sys.argv[1:]
(here / "calls").open("a").write(" ".join(arguments) + "\\n")
if (here / "broken").exists():
    sys.exit("images/build: the Docker engine does not answer")
print("official images are built from packages")
for name in (name for name in arguments[2:] if name != "--check"):
    if (here / name).exists():
        print(f"present {name}:1")
    elif "--check" in arguments:
        print(f"missing {name}:1")
    else:
        (here / name).touch()
        print(f"built {name}:1 in 0 s")
"""


class Role:
    """The role, run on this machine with a stand-in for images/build."""

    def __init__(self, path: Path) -> None:
        self.path = path
        (path / "build").write_text(PROGRAM)
        (path / "play.yml").write_text(
            json.dumps([{"hosts": "localhost", "gather_facts": False, "roles": ["images"]}])
        )

    def run(self, *arguments: str) -> tuple[int, str, list[str]]:
        """Return exit status, output and the calls of images/build."""
        (self.path / "calls").write_text("")
        result = subprocess.run(
            [
                Path(sys.executable).parent / "ansible-playbook",
                "--inventory=localhost,",
                "--connection=local",
                f"--extra-vars=ansible_python_interpreter={sys.executable}",
                f"--extra-vars=images_program={self.path}/build",
                *arguments,
                self.path / "play.yml",
            ],
            env={
                **os.environ,
                "ANSIBLE_CONFIG": "",
                "ANSIBLE_ROLES_PATH": str(ROOT / "roles"),
                "ANSIBLE_NOCOLOR": "1",
            },
            cwd=self.path,
            capture_output=True,
            text=True,
            check=False,
        )
        calls = (self.path / "calls").read_text().splitlines()
        return result.returncode, result.stdout, calls


@pytest.fixture
def role(tmp_path: Path) -> Role:
    return Role(tmp_path)


def test_each_image_is_a_step_and_a_second_run_only_asks(role: Role) -> None:
    (role.path / "mongo").touch()
    _, output, calls = role.run()
    assert calls == [
        "--source auto --check kafka mongo millrace",
        "--source auto kafka",
        "--source auto mongo",
        "--source auto millrace",
    ]
    assert "official images are built from packages; missing kafka:1; missing millrace:1" in output
    assert "changed: [localhost] => (item=kafka)" in output
    assert "ok: [localhost] => (item=mongo)" in output

    _, output, calls = role.run()
    assert calls == ["--source auto --check kafka mongo millrace"]
    assert "changed=0" in output


def test_only_the_named_images_are_looked_for(role: Role) -> None:
    _, _, calls = role.run("--extra-vars={images_names: [kafka], images_source: packages}")
    assert calls == ["--source packages --check kafka", "--source packages kafka"]


def test_check_mode_builds_nothing_and_predicts_it(role: Role) -> None:
    _, output, calls = role.run("--check")
    assert calls == ["--source auto --check kafka mongo millrace"]
    assert "changed=1" in output


def test_an_engine_that_does_not_answer_stops_a_run_and_not_a_prediction(role: Role) -> None:
    (role.path / "broken").touch()
    status, output, calls = role.run()
    assert status != 0
    assert "the Docker engine does not answer" in output
    assert len(calls) == 1
    status, _, _ = role.run("--check")
    assert status == 0
