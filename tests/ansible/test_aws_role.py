"""What holds for every task that asks AWS for a change."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.ansible.conftest import ROOT

ROLE = ROOT / "roles" / "aws"
FILES = sorted(ROLE.glob("tasks/**/*.yml"))


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def tasks(items: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Every task, those of blocks included."""
    for item in items:
        yield item
        for part in ("block", "rescue", "always"):
            yield from tasks(item.get(part, []))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROLE / "tasks")))
def test_tags_of_other_people_stay(path: Path) -> None:
    """Modules of the collections remove by themselves every tag that they are not told."""
    for task in tasks(load(path)):
        for name, options in task.items():
            if name.startswith(("amazon.aws.", "community.aws.")) and "tags" in options:
                assert options.get("purge_tags") is False, task["name"]


def test_what_can_be_named_by_tasks_from_is_an_entry_point() -> None:
    """What Ansible finds there without a specification runs without a look at what it is told."""
    specs = load(ROLE / "meta" / "argument_specs.yml")["argument_specs"]
    assert {path.stem for path in (ROLE / "tasks").glob("*.yml")} == specs.keys()


def test_the_parts_of_an_entry_point_are_in_the_directory_that_is_called_like_it() -> None:
    parts = [path for path in FILES if path.parent != ROLE / "tasks"]
    assert parts
    for path in parts:
        entry = path.parent.with_suffix(".yml")
        named = [task.get("ansible.builtin.include_tasks") for task in tasks(load(entry))]
        assert f"{path.parent.name}/{path.name}" in named


def test_every_entry_point_is_used_by_its_name() -> None:
    """Without the name Ansible looks for one that there is not, and goes on."""
    used = {
        task["ansible.builtin.include_role"].get("tasks_from")
        for path in (ROOT / "playbooks").rglob("*.yml")
        if path.parent.name != "vars"
        for entry in load(path)
        for task in tasks([entry, *entry.get("tasks", [])])
        if task.get("ansible.builtin.include_role", {}).get("name") == "aws"
    }
    assert used == {path.stem for path in (ROLE / "tasks").glob("*.yml")}
