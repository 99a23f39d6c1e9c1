"""What a person does wrong before anything runs is said in one line, and nothing is written."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.ansible.conftest import ROOT

DF = 'case "$*" in *target*) printf "Mounted on\\n/srv\\n" ;; *) printf "Avail\\n {}\\n" ;; esac'
# What the scripts call, when all is well; a test replaces one. Nothing is installed by any.
PROGRAMS = {
    "id": "echo 0",
    "df": DF.format(9000),
    "python3": 'case "$1" in --version) echo "Python 3.10.12" ;; *) exit 1 ;; esac',
    "apt-get": "exit 0",
}


class Machine:
    """A checkout with what the scripts read, and programs that answer as a test says."""

    def __init__(self, path: Path) -> None:
        self.checkout, self.bin = path / "checkout", path / "bin"
        for name in ("scripts", "requirements"):
            shutil.copytree(ROOT / name, self.checkout / name)
        # The system's Python is taken by its path.
        bootstrap = self.checkout / "scripts/bootstrap"
        bootstrap.write_text(bootstrap.read_text().replace("/usr/bin/python3", "python3"))
        (self.checkout / "services").mkdir()
        shutil.copy(ROOT / "services/pyproject.toml", self.checkout / "services")
        (self.checkout / "inventories/local").mkdir(parents=True)
        self.bin.mkdir()
        for name, shell in PROGRAMS.items():
            self.program(name, shell)

    def program(self, name: str, shell: str) -> None:
        (self.bin / name).write_text(f"#!/bin/sh\n{shell}\n")
        (self.bin / name).chmod(0o755)

    def run(self, script: str, *arguments: str, path: str = "", status: int = 1) -> str:
        """Run a script, which has to fail and to leave no file behind; return what it says."""
        before = sorted(self.checkout.rglob("*"))
        done = subprocess.run(
            [self.checkout / "scripts" / script, *arguments],
            env={"PATH": path or f"{self.bin}:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == status
        assert sorted(self.checkout.rglob("*")) == before
        return done.stderr


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.mark.parametrize(
    "argument",
    [
        *("--check", "-C", "-DC", "--syntax-check", "--syn", "--list-tasks", "--list-hosts"),
        *("--list-tags", "--version", "--help", "-vh"),
    ],
)
def test_what_deploys_nothing_is_not_reported_as_proven(machine: Machine, argument: str) -> None:
    said = machine.run("up", "-v", argument, status=2)
    assert said == (
        f"millrace: with {argument} nothing is deployed or proven: give it to ansible-playbook and"
        " site.yml instead; scripts/up --help says more\n"
    )


@pytest.mark.parametrize("script", ["up", "demo"])
def test_an_option_that_ansible_does_not_have_is_refused_first(
    machine: Machine, script: str
) -> None:
    (machine.checkout / ".venv").symlink_to(ROOT / ".venv")
    assert machine.run(script, "-v", "--nope", status=2) == (
        "millrace: unrecognized arguments: --nope; scripts/up --help says more\n"
    )


@pytest.mark.parametrize(
    ("program", "shell", "message"),
    [
        ("id", "echo 1000", "run this as root (sudo make ...)"),
        ("df", DF.format(2999), "only 2999 MB are free on /srv; 3000 are needed"),
        ("apt-get", "exit 100", "apt-get update failed: see the lines above"),
        (
            "apt-get",
            'test "$1" = update',
            "could not install python3 and python3-venv: see the lines above",
        ),
        ("apt-get", "exit 0", "Python 3.11 or newer is needed; this system has Python 3.10.12"),
    ],
    ids=["not root", "full disk", "no package index", "no package", "old Python"],
)
def test_a_machine_that_cannot_take_it_is_told_why(
    machine: Machine, program: str, shell: str, message: str
) -> None:
    machine.program(program, shell)
    for script in ("bootstrap", "up"):
        [line] = machine.run(script).splitlines()
        assert line.startswith(f"millrace: {message}")


def test_what_tests_type_is_installed_or_named(machine: Machine) -> None:
    # A machine that has little: neither curl nor ssh nor a browser.
    for name in ("bash", "cat", "cut", "dirname", "sha256sum", "tail", "tr", "env"):
        (machine.bin / name).symlink_to(shutil.which(name) or name)
    machine.program("apt-get", 'test "$1" = update')
    said = machine.run("bootstrap", "dev", path=str(machine.bin))
    assert said.splitlines() == [
        "millrace: could not install curl openssh-client chromium: see the lines above"
    ]


def test_another_system_is_told_what_is_needed(machine: Machine) -> None:
    script = machine.checkout / "scripts/bootstrap"
    script.write_text(script.read_text().replace("/etc/debian_version", "/nowhere/debian_version"))
    [line] = machine.run("up").splitlines()
    assert line.startswith("millrace: this machine is not Debian or Ubuntu")


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("bootstrap prod", "unknown set 'prod': use no argument, or dev"),
        ("bootstrap dev more", "unknown set 'dev more': use no argument, or dev"),
        ("lint more", "it takes no argument"),
        ("lock --more", "unknown argument '--more': use none, or --upgrade"),
        ("molecule", "name a scenario, or use make molecule for all"),
        ("molecule nosuch", "there is no scenario 'nosuch' in molecule/"),
        ("vault-password more", "it takes no argument"),
    ],
)
def test_what_is_not_understood_is_told_from_what_fails(
    machine: Machine, command: str, message: str
) -> None:
    # Also to somebody who could do nothing else with it.
    machine.program("id", "echo 1000")
    script, *arguments = command.split()
    [line] = machine.run(script, *arguments, status=2).splitlines()
    assert line == f"millrace: {message}; scripts/{script} --help says more"


@pytest.mark.parametrize("jobs", ["x", "0", "-1", "1.5", "3 4"])
def test_how_many_scenarios_run_beside_each_other_is_a_number(jobs: str) -> None:
    done = subprocess.run(
        [ROOT / "scripts/molecule", "nosuch"],
        env=os.environ | {"JOBS": jobs},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert f"JOBS is '{jobs}': how many beside each other, from 1" in done.stderr


SCRIPTS = sorted(
    path.name
    for path in (ROOT / "scripts").iterdir()
    if path.is_file() and os.access(path, os.X_OK)
)


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_script_says_what_it_does_and_how_it_ends_from_anywhere(
    script: str, tmp_path: Path
) -> None:
    for option in ("-h", "--help"):
        shown = subprocess.run(
            [ROOT / "scripts" / script, option],
            cwd=tmp_path,
            env=os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (shown.returncode, shown.stderr) == (0, "")
        assert f"scripts/{script}" in shown.stdout
        assert "2 not understood" in " ".join(shown.stdout.split())
    assert not [*tmp_path.iterdir()]


def is_python(script: str) -> bool:
    return (ROOT / "scripts" / script).read_text().startswith("#!/usr/bin/env python3")


@pytest.mark.parametrize("script", [*filter(is_python, SCRIPTS)])
def test_a_script_in_python_names_what_it_does_not_understand(script: str) -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / script, "--nosuch"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith(f"scripts/{script}: error: ")


@pytest.mark.parametrize(
    "script", ["command-docs", "event-schemas", "openapi", "role-docs", "settings-docs"]
)
def test_a_script_without_its_dependencies_says_how_to_get_them(script: str) -> None:
    # Without the packages that are installed beside this Python.
    done = subprocess.run(
        [sys.executable, "-S", ROOT / "scripts" / script],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert line.startswith(f"scripts/{script}: No module named ")
    assert line.endswith(": run scripts/bootstrap, then . scripts/environment")


def test_make_says_what_there_is_and_how_it_ends() -> None:
    shown = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "ends with 0 if it is done, and with 2 if it is not" in shown
    targets = re.findall(r"^([a-z-]+):.* ## ", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert len(targets) > 15
    assert all(f"  make {target} " in shown for target in targets)
    for wrong in (
        ["nosuch"],
        ["molecule", "SCENARIOS=nosuch", "-o", "bootstrap-dev", "-o", "images"],
    ):
        done = subprocess.run(["make", *wrong], cwd=ROOT, capture_output=True, check=False)
        assert done.returncode == 2


def test_every_target_passes_its_arguments_on() -> None:
    targets = re.findall(r"^([a-z-]+):.* ## ", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for target in {*targets} - {"help"}:
        words = ["make", "--dry-run", target, "ARGS=--further"]
        shown = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout
        assert shown.rstrip().endswith(" --further"), target


@pytest.mark.parametrize(
    "arguments",
    [["-i", "nosuch"], ["-inosuch"], ["--inventory=nosuch"], ["-v", "--inventory", "nosuch"]],
)
def test_an_unknown_inventory_is_named_first(machine: Machine, arguments: list[str]) -> None:
    machine.program("id", "echo 1000")
    [line] = machine.run("up", *arguments, status=2).splitlines()
    assert line.startswith("millrace: there is no inventory nosuch: name inventories/local")


@pytest.mark.parametrize("inventory", ["inventories/local", "one.host,"])
def test_a_known_inventory_is_taken(machine: Machine, inventory: str) -> None:
    machine.program("id", "echo 1000")
    assert "run this as root" in machine.run("up", "-i", inventory)
