"""Each role says in one place what it takes: its specification and its defaults are equal."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.ansible.conftest import ROOT

ROLES = sorted(path.name for path in (ROOT / "roles").iterdir() if (path / "tasks").is_dir())


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text()) or {}


def options(role: str) -> dict[str, Any]:
    """All options of a role, whatever its entry point."""
    specs = load(ROOT / "roles" / role / "meta" / "argument_specs.yml")["argument_specs"]
    return {name: option for spec in specs.values() for name, option in spec["options"].items()}


def defaults(role: str) -> dict[str, Any]:
    path = ROOT / "roles" / role / "defaults" / "main.yml"
    return dict(load(path)) if path.exists() else {}


@pytest.mark.parametrize("role", ROLES)
def test_specification_and_defaults_are_equal(role: str) -> None:
    """An option is either required or has the same default in both files."""
    optional = {
        name: option for name, option in options(role).items() if not option.get("required")
    }
    assert {name: option.get("default", "(no default)") for name, option in optional.items()} == (
        defaults(role)
    )


@pytest.mark.parametrize("role", ROLES)
def test_an_option_is_the_same_for_every_entry_point(role: str) -> None:
    specs = load(ROOT / "roles" / role / "meta" / "argument_specs.yml")["argument_specs"]
    for entry, spec in specs.items():
        for name, option in spec["options"].items():
            assert option == options(role)[name], (entry, name)


@pytest.mark.parametrize("role", ROLES)
def test_every_option_has_a_description_and_the_roles_prefix(role: str) -> None:
    prefix = re.compile(rf"{role}_[a-z0-9_]+")
    for name, option in options(role).items():
        assert prefix.fullmatch(name), name
        assert option["description"], name


@pytest.mark.parametrize("role", ROLES)
def test_internal_variables_are_marked_as_such(role: str) -> None:
    path = ROOT / "roles" / role / "vars" / "main.yml"
    names = load(path) if path.exists() else {}
    assert [name for name in names if not name.startswith(f"__{role}_")] == []


@pytest.mark.parametrize("role", ROLES)
def test_a_wrong_secret_is_not_printed_by_the_argument_check(role: str) -> None:
    """A failed check of choices prints the value, whatever no_log says."""
    for name, option in options(role).items():
        if re.search(r"(password|passphrase|keyfile|token|api_key|private_key)$", name):
            assert option["type"] == "str", name
            assert "choices" not in option, name


@pytest.mark.parametrize("role", ROLES)
def test_what_a_variable_means_is_said_in_the_specification_alone(role: str) -> None:
    path = ROOT / "roles" / role / "defaults" / "main.yml"
    lines = path.read_text().splitlines() if path.exists() else []
    assert [line for line in lines if line.startswith("#")] == []
