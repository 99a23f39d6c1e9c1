"""A misspelt variable is refused, with the name that was meant."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "plugins" / "action"))

import known_variables  # noqa: E402 - found through the path above


def test_a_misspelt_name_is_refused_with_the_one_that_was_meant() -> None:
    found = known_variables.unknown(
        ["kafka_topcis", "kafka_topics", "other", "millrace_zzz"],
        ("kafka_", "millrace_"),
        {"kafka_topics", "kafka_users"},
    )
    assert found == [
        "nothing reads the variable kafka_topcis: did you mean kafka_topics?",
        "nothing reads the variable millrace_zzz: remove it",
    ]


def test_the_names_come_from_the_roles_and_the_inventory() -> None:
    roles = known_variables.role_variables(ROOT / "roles")
    assert "container_image" in roles["container"]
    assert all(name.startswith(f"{role}_") for role, names in roles.items() for name in names)
    own = known_variables.own_variables(ROOT / "inventories" / "local" / "group_vars" / "all")
    assert "millrace_instance" in own
