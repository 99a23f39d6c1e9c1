"""What holds for every task that asks AWS for a change."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from tests.ansible.conftest import ROOT

FILES = sorted(ROOT.glob("roles/aws_*/tasks/*.yml"))


def tasks(items: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Every task, those of blocks included."""
    for item in items:
        yield item
        for part in ("block", "rescue", "always"):
            yield from tasks(item.get(part, []))


@pytest.mark.parametrize("path", FILES, ids=lambda path: "/".join(path.parts[-3::2]))
def test_tags_of_other_people_stay(path: Any) -> None:
    """Modules of the collections remove by themselves every tag that they are not told."""
    for task in tasks(yaml.safe_load(path.read_text())):
        for name, options in task.items():
            if name.startswith(("amazon.aws.", "community.aws.")) and "tags" in options:
                assert options.get("purge_tags") is False, task["name"]
