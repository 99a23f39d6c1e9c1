"""A misspelt variable is refused, with the name that was meant."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "plugins" / "action"))

import known_variables  # noqa: E402 - found through the path above


def test_a_misspelt_name_is_refused_with_the_one_that_was_meant() -> None:
    found = known_variables.unknown(
        ["kafka_topcis", "kafka_topics", "other", "millrace_zzz", "millrace_an_api_key"],
        "millrace_",
        ("kafka_",),
        {"kafka_topics", "kafka_users", "millrace_an_api_port"},
        {"vault_an_api_key"},
    )
    assert found == [
        "nothing reads the variable kafka_topcis: did you mean kafka_topics? "
        "If it is your own, give it another name",
        "nothing reads the variable millrace_an_api_key: it is a secret, vault_an_api_key of the"
        " vault (docs/operating/secrets.md)",
        "nothing reads the variable millrace_zzz: remove it",
    ]


def test_a_variable_of_the_users_own_is_theirs() -> None:
    roles = known_variables.role_variables(ROOT / "roles")
    own = known_variables.own_variables(ROOT / "inventories")
    names = ["host_location", "host_name", "host_group", "api_url", "api_key", "images_dir"]
    prefixes = tuple(f"{role}_" for role in roles)
    known = own.union(*roles.values())
    assert known_variables.unknown(names, "millrace_", prefixes, known, set()) == []


def test_the_names_come_from_the_roles_and_the_inventory() -> None:
    roles = known_variables.role_variables(ROOT / "roles")
    assert "container_image" in roles["container"]
    # Of each entry point.
    assert {"aws_plan_settings", "aws_teardown_instance"} <= roles["aws"].keys()
    assert all(name.startswith(f"{role}_") for role, names in roles.items() for name in names)
    own = known_variables.own_variables(ROOT / "inventories")
    assert {"millrace_instance", "millrace_feeds"} <= own


def test_what_a_playbook_fills_is_refused_with_what_to_set_instead() -> None:
    told = known_variables.filled(ROOT / "playbooks")
    assert known_variables.overridden(["other", "kafka_memory"], told) == []
    names = ["kafka_image", "service_log_level", "api_tokens"]
    assert known_variables.overridden(names, told) == [
        "playbooks/vars/services.yml fills api_tokens, and an inventory does not: change it there",
        "playbooks/deploy/kafka.yml fills kafka_image, and an inventory does not: set"
        " millrace_kafka_image, or change it there",
        "playbooks/vars/services.yml fills service_log_level, and an inventory does not: set"
        " millrace_log_level, or change it there",
    ]


def test_no_inventory_sets_what_a_playbook_fills() -> None:
    own = known_variables.own_variables(ROOT / "inventories")
    assert known_variables.overridden(own, known_variables.filled(ROOT / "playbooks")) == []


def test_a_value_that_its_role_would_not_take_is_refused() -> None:
    options = {
        name: option
        for specs in known_variables.role_variables(ROOT / "roles").values()
        for name, option in specs.items()
    }
    right = {"kafka_memory": "1g", "container_state": "started", "kafka_heap": "512m"}
    for name, value in (right | {"kafka_quotas": [{"user": "a"}]}).items():
        assert known_variables.refused(name, value, options[name]) == []
    wrong = {"kafka_memory": "lots", "container_state": "up", "kafka_quotas": [{"usr": "a"}]}
    for name, value in wrong.items():
        assert name in known_variables.refused(name, value, options[name])[0]


def names(files: Iterable[Path]) -> set[str]:
    return {name for path in files for name in yaml.safe_load(path.read_text())}


@pytest.mark.parametrize("inventory", ["local", "aws"])
def test_no_variable_is_set_by_an_inventory_and_by_what_all_of_them_share(inventory: str) -> None:
    """Which of the two counted would depend on the names of the files."""
    defaults = ROOT / "inventories" / inventory / "group_vars" / "all" / "+defaults"
    own, shared = names(defaults.glob("*.yml")), names((defaults / "shared").glob("*.yml"))
    assert own
    assert shared
    assert own & shared == set()


@pytest.mark.parametrize(
    ("inventory", "group"), [("local", "all"), ("aws", "all"), ("aws", "fleet")]
)
def test_whatever_file_a_user_adds_wins(tmp_path: Path, inventory: str, group: str) -> None:
    copied = tmp_path / "inventory"
    shutil.copytree(ROOT / "inventories" / inventory, copied)
    defaults = sorted(names((copied / "group_vars" / group / "+defaults").rglob("*.yml")))
    theirs = {name: f"theirs: {name}" for name in defaults if not name.startswith("__")}
    (copied / "group_vars" / group / "a.yml").write_text(yaml.safe_dump(theirs))
    # In the group `fleet` that one's values count.
    hosts = {
        "all": {"children": {group if group != "all" else "others": {"hosts": {"localhost": {}}}}}
    }
    (copied / "hosts.yml").write_text(yaml.safe_dump(hosts))
    (copied / "aws_ec2.yml").unlink(missing_ok=True)
    words = [ROOT / ".venv/bin/ansible-inventory", "-i", copied, "--host", "localhost"]
    done = subprocess.run(
        [str(word) for word in words], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert theirs
    assert theirs.items() <= json.loads(done.stdout).items()
