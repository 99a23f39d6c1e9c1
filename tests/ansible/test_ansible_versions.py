"""Versions of ansible-core that are accepted are those that work, wherever they are named."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml
from jinja2 import Environment
from packaging.version import Version
from tests.ansible.conftest import ROOT

FIRST = "2.19"


def accepted(version: str) -> bool:
    """Ask the assertion of every playbook that changes something."""
    tasks = yaml.safe_load((ROOT / "playbooks/tasks/choices.yml").read_text())
    conditions = tasks[0]["ansible.builtin.assert"]["that"]
    environment = Environment(autoescape=True)

    def is_version(value: str, other: str, operator: str) -> bool:
        this, that = Version(value), Version(other)
        return this >= that if operator == ">=" else this < that

    environment.tests["version"] = is_version
    said: dict[str, Any] = {"ansible_version": {"full": version}}
    return all(environment.compile_expression(line)(**said) for line in conditions)


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
    assert accepted(version) is works


def test_the_locked_version_is_accepted() -> None:
    locked = re.search(
        r"^ansible-core==(\S+)", (ROOT / "requirements/controller.txt").read_text(), re.MULTILINE
    )
    assert locked
    assert accepted(locked[1])


@pytest.mark.parametrize(
    "path", sorted(ROOT.glob("roles/*/meta/main.yml")), ids=lambda path: path.parts[-3]
)
def test_roles_say_the_first_one(path: Any) -> None:
    meta = yaml.safe_load(path.read_text())
    assert meta["galaxy_info"]["min_ansible_version"] == FIRST
