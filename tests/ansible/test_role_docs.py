"""The table of variables in a role's README says what the specification says."""

from __future__ import annotations

import subprocess
import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

import pytest
from tests.ansible.conftest import ROOT


@pytest.fixture(scope="module")
def role_docs() -> ModuleType:
    loader = SourceFileLoader("role_docs", str(ROOT / "scripts" / "role-docs"))
    spec = spec_from_loader("role_docs", loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


def test_a_row_shows_type_default_and_keys_of_elements(role_docs: ModuleType) -> None:
    options = {
        "x_port": {"type": "int", "default": 1, "description": "A | port."},
        "x_mode": {"choices": ["a", "b"], "required": True, "description": ["One.", "Two."]},
        "x_leaves": {
            "type": "list",
            "elements": "dict",
            "default": [],
            "description": "Leaves.",
            "options": {"name": {"description": "Name."}},
        },
    }
    assert list(role_docs.rows(options)) == [
        "| `x_port` | int | `1` | A \\| port. |",
        "| `x_mode` | str: a, b | required | One. Two. |",
        "| `x_leaves` | list of dict | `[]` | Leaves. |",
        "| `x_leaves.name` | str |  | Name. |",
    ]


def test_what_an_entry_point_does_is_before_its_table(role_docs: ModuleType) -> None:
    """What the role itself does is in the text that is written by hand."""
    specs = {
        "main": {"short_description": "Run it", "description": ["By hand."]},
        "remove": {"short_description": "Remove it", "description": ["First.", "Second."]},
    }
    head = "| Variable | Type | Default | Meaning |\n|---|---|---|---|"
    assert role_docs.table(specs).split("\n\n") == [
        "Entry point `main`: Run it.", head,
        "Entry point `remove`: Remove it.", "First.", "Second.", head,
    ]  # fmt: skip
    assert role_docs.table({"main": specs["main"]}) == head


def test_a_readme_begins_with_what_the_role_itself_does(role_docs: ModuleType) -> None:
    spec = {"short_description": "Run it", "description": "At once."}
    assert role_docs.first_readme("x", {"main": spec}).startswith("# x\n\nRun it.\n\nAt once.\n")
    assert role_docs.first_readme("x", {"remove": spec}).startswith("# x\n\n## Variables\n")


def test_only_the_text_between_the_markers_is_written(
    role_docs: ModuleType, tmp_path: Path
) -> None:
    (tmp_path / "meta").mkdir()
    (tmp_path / "meta" / "argument_specs.yml").write_text(
        "argument_specs: {main: {short_description: S, options: {x_a: {description: A}}}}"
    )
    around = f"by hand\n{role_docs.BEGIN}\nold\n{role_docs.END}\nafter\n"
    (tmp_path / "README.md").write_text(around)
    written = role_docs.rendered(tmp_path)
    assert written.startswith("by hand\n")
    assert written.endswith("after\n")
    assert "old" not in written
    assert "| `x_a` | str |  | A |" in written


def test_the_tables_are_up_to_date() -> None:
    command = [sys.executable, str(ROOT / "scripts" / "role-docs"), "--check"]
    subprocess.run(command, check=True)
