"""The role `images` gets what is missing, one image a step, and asks once where nothing is."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from tests.ansible.conftest import ROOT, ansible_playbook

# Stands in for images/build: an image is there once its name is a file.
PROGRAM = """
import pathlib, sys
here = pathlib.Path(__file__).parent
arguments = sys.argv[1:]
(here / "calls").open("a").write(" ".join(arguments) + "\\n")
if (here / "broken").exists():
    sys.exit("images/build: the Docker engine does not answer")
print("official images are built from packages" + (here / "why").read_text())
for name in (name for name in arguments[2:] if name != "--check"):
    if (here / name).exists():
        print(f"present {name}:1")
    elif "--check" in arguments:
        print(f"missing {name}:1")
    else:
        (here / name).touch()
        print(f"built {name}:1 in 0 s")
"""

# Stands in for images/push: says what it was given.
PUSH = """
import pathlib, sys
here = pathlib.Path(__file__).parent
words = ["push", *sys.argv[1:], sys.stdin.read().strip()]
(here / "calls").open("a").write(" ".join(words) + "\\n")
if (here / "broken").exists():
    sys.exit("images/push: the registry refuses it")
print("pushed it")
"""
# Stands in for the module that has images on a host: an image is there once its name is a file.
ENGINE_IMAGES = """
#!/usr/bin/python
import os, pathlib
from ansible.module_utils.basic import AnsibleModule
keys = ("images", "digests", "pull", "registry", "username", "password")
spec = {key: {"type": "raw", "no_log": key == "password"} for key in keys}
module = AnsibleModule(spec, supports_check_mode=True)
here = pathlib.Path(os.environ["STAND_IN"])
missing = [name for name in module.params["images"] if not (here / name.split("/")[-1]).exists()]
if module.params["pull"] is not False:
    for name in missing:
        (here / name.split("/")[-1]).touch()
        (here / "calls").open("a").write(f"pull {name} as {module.params['username']}\\n")
module.exit_json(changed=False, missing=missing)
"""


class Role:
    """The role, run on this machine with a stand-in for images/build."""

    def __init__(self, path: Path, library: Path) -> None:
        self.path, self.library = path, library
        (path / "build").write_text(PROGRAM)
        (path / "push").write_text(PUSH)
        (path / "why").write_text("")
        (path / "versions.yml").write_text("images: {}")
        (path / "play.yml").write_text(
            json.dumps([{"hosts": "localhost", "gather_facts": False, "roles": ["images"]}])
        )

    def run(self, *arguments: str) -> tuple[int, str, list[str]]:
        """Return exit status, output and the calls of images/build."""
        (self.path / "calls").write_text("")
        result = ansible_playbook(
            "--inventory=localhost,",
            "--connection=local",
            f"--extra-vars=ansible_python_interpreter={sys.executable}",
            f"--extra-vars=images_program={self.path}/build",
            f"--extra-vars=images_push_program={self.path}/push",
            *arguments,
            self.path / "play.yml",
            cwd=self.library,
            environment={
                "ANSIBLE_CONFIG": "",
                "ANSIBLE_ROLES_PATH": str(ROOT / "roles"),
                "ANSIBLE_LIBRARY": str(self.library),
                "STAND_IN": str(self.path),
            },
        )
        calls = (self.path / "calls").read_text().splitlines()
        return result.returncode, result.stdout, calls


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("library")
    (folder / "engine_images.py").write_text(ENGINE_IMAGES.lstrip())
    return folder


@pytest.fixture
def role(tmp_path: Path, library: Path) -> Role:
    return Role(tmp_path, library)


def test_each_image_is_a_step_and_a_second_run_only_asks(role: Role) -> None:
    (role.path / "mongo").touch()
    _, output, calls = role.run()
    assert calls == [
        "--source auto --check kafka mongo millrace",
        "--source packages kafka",
        "--source packages mongo",
        "--source packages millrace",
    ]
    assert "official images are built from packages; missing kafka:1; missing millrace:1" in output
    assert "changed: [localhost] => (item=kafka)" in output
    assert "ok: [localhost] => (item=mongo)" in output

    _, output, calls = role.run()
    assert calls == ["--source auto --check kafka mongo millrace"]
    assert "changed=0" in output


def test_images_from_packages_do_not_stay_in_silence_once_a_registry_answers(role: Role) -> None:
    for name in ("kafka", "mongo", "millrace"):
        (role.path / name).touch()
    (role.path / "why").write_text(": a registry answers by now")
    for arguments in ((), ("--check",)):
        _, output, _ = role.run(*arguments)
        assert "official images are built from packages: a registry answers by now" in output
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


REGISTRY = json.dumps(
    {
        "images_registry": "registry.example/one",
        "images_registry_username": "AWS",
        "images_registry_password": "a-token",
        "images_references": ["registry.example/one/millrace:1", "kafka:4"],
    }
)


def test_a_host_elsewhere_pulls_what_the_controller_pushed(role: Role) -> None:
    _, output, calls = role.run(f"--extra-vars={REGISTRY}", "-vv")
    assert calls == [
        "push registry.example/one --username=AWS millrace a-token",
        "pull registry.example/one/millrace:1 as AWS",
        "pull kafka:4 as AWS",
    ]
    assert "a-token" not in output
    _, output, calls = role.run(f"--extra-vars={REGISTRY}")
    assert calls == []
    assert "changed=0" in output


def test_the_controller_pushes_what_any_host_needs(role: Role) -> None:
    more = json.dumps({"images_to_push": ["millrace", "millrace-analytics"]})
    _, _, calls = role.run(f"--extra-vars={REGISTRY}", f"--extra-vars={more}")
    words = "push registry.example/one --username=AWS millrace millrace-analytics a-token"
    assert calls[0] == words


def test_nothing_is_pushed_where_every_host_has_it(role: Role) -> None:
    (role.path / "millrace:1").touch()
    _, _, calls = role.run(f"--extra-vars={REGISTRY}")
    assert calls == ["pull kafka:4 as AWS"]


def test_a_push_that_fails_stops_in_its_own_words(role: Role) -> None:
    (role.path / "broken").touch()
    status, output, calls = role.run(f"--extra-vars={REGISTRY}", "-vv")
    assert status != 0
    assert "the registry refuses it" in output
    assert "a-token" not in output
    assert len(calls) == 1


def test_a_prediction_with_a_registry_pushes_and_pulls_nothing(role: Role) -> None:
    _, output, calls = role.run(f"--extra-vars={REGISTRY}", "--check")
    assert calls == []
    assert "changed=1" in output
