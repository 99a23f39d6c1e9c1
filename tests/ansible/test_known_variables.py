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
        "millrace_",
        ("kafka_",),
        {"kafka_topics", "kafka_users"},
    )
    assert found == [
        "nothing reads the variable kafka_topcis: did you mean kafka_topics? "
        "If it is your own, give it another name",
        "nothing reads the variable millrace_zzz: remove it",
    ]


def test_a_variable_of_the_users_own_is_theirs() -> None:
    roles = known_variables.role_variables(ROOT / "roles")
    own = known_variables.own_variables(ROOT / "inventories" / "local" / "group_vars")
    names = ["host_location", "host_name", "host_group", "api_url", "api_key", "images_dir"]
    prefixes = tuple(f"{role}_" for role in roles)
    assert known_variables.unknown(names, "millrace_", prefixes, own.union(*roles.values())) == []


def test_the_names_come_from_the_roles_and_the_inventory() -> None:
    roles = known_variables.role_variables(ROOT / "roles")
    assert "container_image" in roles["container"]
    assert all(name.startswith(f"{role}_") for role, names in roles.items() for name in names)
    own = known_variables.own_variables(ROOT / "inventories" / "local" / "group_vars")
    assert {"millrace_instance", "millrace_feeds"} <= own


def test_no_variable_is_set_by_an_inventory_and_by_what_all_of_them_share() -> None:
    """Which of the two counted would depend on the names of the files."""
    shared = known_variables.own_variables(ROOT / "inventories" / "shared")
    for inventory in ("local", "aws"):
        files = (ROOT / "inventories" / inventory / "group_vars" / "all").glob("*.yml")
        own = {name for path in files for name in known_variables.yaml.safe_load(path.read_text())}
        assert own, inventory
        assert own & shared == set(), inventory
