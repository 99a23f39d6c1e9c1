"""An ansible-core that is accepted is one that works, wherever its versions are named."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.ansible.conftest import ROOT, load

advised = load(ROOT / "plugins/inventory/advised.py")


@pytest.mark.parametrize(
    ("version", "works"),
    # Of 2.18 the emulated AWS gets text for numbers; with 2.19 and 2.20 it made a fleet.
    [
        ("2.17.14", False),
        ("2.18.19", False),
        ("2.19.14", True),
        ("2.20.10", True),
        ("2.21.5", False),
    ],
)
def test_versions_that_cannot_provision_are_refused(version: str, works: bool) -> None:
    said = advised.problem(version, has_services=True)
    assert (said == "") is works
    assert works or said.startswith(f"ansible-core {version} is not supported: run scripts/bootstr")


@pytest.mark.parametrize(
    "command",
    [
        ["ansible-playbook", "site.yml"],
        ["ansible-playbook", "teardown.yml"],
        ["ansible-playbook", "playbooks/status.yml"],
        ["ansible-playbook", "-i", "localhost,", "playbooks/deploy/kafka.yml"],
        ["ansible-playbook", "-i", "inventories/aws", "playbooks/plan.yml"],
        ["ansible-inventory"],
    ],
    ids=lambda command: command[-1],
)
def test_another_version_is_refused_before_anything_else(
    tmp_path: Path, command: list[str]
) -> None:
    said = refused(
        tmp_path, command, "import ansible.release\nansible.release.__version__ = '2.18.19'\n"
    )
    assert "ansible-core 2.18.19 is not supported: run scripts/bootstrap and" in said


@pytest.mark.parametrize("inventory", ["inventories/local", "localhost,"])
def test_one_without_the_services_is_refused_before_anything_else(
    tmp_path: Path, inventory: str
) -> None:
    command = ["ansible-playbook", "-i", inventory, "site.yml"]
    said = refused(tmp_path, command, "import sys\nsys.modules['millrace'] = None\n")
    assert "the services are not installed beside this ansible-core: run scripts/boot" in said


def refused(tmp_path: Path, command: list[str], changes: str) -> str:
    """Run an Ansible of the user's own, which this program changes; return its complaint."""
    (tmp_path / "sitecustomize.py").write_text(changes)
    (tmp_path / "password").write_text("a password")
    looked_at = "--list-hosts" if command[0] == "ansible-playbook" else "--list"
    done = subprocess.run(
        # Were it not refused, it would only be looked at.
        [ROOT / ".venv/bin" / command[0], *command[1:], looked_at],
        cwd=ROOT,
        env=os.environ
        | {"PYTHONPATH": str(tmp_path), "MILLRACE_VAULT_PASSWORD_FILE": f"{tmp_path}/password"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert done.stdout == ""
    return done.stderr


def test_the_locked_version_is_accepted() -> None:
    locked = re.search(
        r"^ansible-core==(\S+)", (ROOT / "requirements/controller.txt").read_text(), re.MULTILINE
    )
    assert locked
    assert advised.problem(locked[1], has_services=True) == ""


@pytest.mark.parametrize(
    "path", sorted(ROOT.glob("roles/*/meta/main.yml")), ids=lambda path: path.parts[-3]
)
def test_roles_say_the_first_one(path: Any) -> None:
    meta = yaml.safe_load(path.read_text())
    assert meta["galaxy_info"]["min_ansible_version"] == advised.TESTED[0]
