"""The reference of settings says what each variable of the inventories means."""

from __future__ import annotations

from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

import pytest
from tests.ansible.conftest import ROOT


@pytest.fixture(scope="module")
def settings_docs() -> ModuleType:
    loader = SourceFileLoader("settings_docs", str(ROOT / "scripts" / "settings-docs"))
    spec = spec_from_loader("settings_docs", loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


def test_a_variable_means_what_the_comment_above_says(
    settings_docs: ModuleType, tmp_path: Path
) -> None:
    path = tmp_path / "vars.yml"
    path.write_text("---\n# How many\n# there are.\nx_count: 3\n__own: 1\n")
    assert [*settings_docs.inventory_rows(path)] == ["| `x_count` | `3` | How many there are. |"]


def test_a_variable_that_nothing_explains_is_refused(
    settings_docs: ModuleType, tmp_path: Path
) -> None:
    path = tmp_path / "vars.yml"
    path.write_text("---\n# How many there are.\nx_count: 3\nx_other: 4\n")
    with pytest.raises(SystemExit, match="no comment above x_other"):
        [*settings_docs.inventory_rows(path)]
