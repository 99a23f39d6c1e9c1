"""Where there is an archive, and a warehouse: on no host unless it is asked for, never on two."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.ansible.conftest import ROOT, Playbook, words

from millrace.config import Settings

sys.path.insert(0, str(ROOT / "plugins" / "filter"))

import aws_wanted

SHOWN = (
    "millrace_archiver_hosts",
    "millrace_aws_callers",
    "millrace_warehouse_hosts",
    "millrace_places",
    "operator_settings",
    "archiver_settings",
    "warehouse_settings",
)


def inventory(path: Path, **groups: list[str]) -> Path:
    """The local inventory with other hosts in some groups, all of them this machine."""
    shutil.copytree(ROOT / "inventories", path / "inventories", symlinks=True)
    file = path / "inventories/local/hosts.yml"
    hosts = yaml.safe_load(file.read_text())
    here = hosts["fleet"]["hosts"]["localhost"]
    for group, names in groups.items():
        hosts[group] = {"hosts": dict.fromkeys(names, here)}
    file.write_text(json.dumps(hosts))
    return file.parent


def shown(playbook: Playbook, path: Path, where: Path | None, **variables: Any) -> dict[str, Any]:
    """What the inventory says of the archive's place, as the playbooks see it."""
    result = path / "shown"
    text = "{{ {" + ", ".join(f"'{name}': {name}" for name in SHOWN) + "} | to_json }}"
    task = {"ansible.builtin.copy": {"content": text, "dest": str(result), "mode": "0600"}}
    play = {
        "hosts": "localhost",
        "gather_facts": False,
        "vars_files": [str(ROOT / "playbooks/vars/services.yml")],
        "tasks": [task],
    }
    (path / "play.yml").write_text(json.dumps([play]))
    done = playbook.run(str(path / "play.yml"), inventory=where, **variables)
    assert done.returncode == 0, done.stdout
    return dict(json.loads(result.read_text()))


@pytest.mark.parametrize(
    ("groups", "variables", "host", "warehouse"),
    [
        ({}, {}, "", ""),
        ({}, {"millrace_archive": "true"}, "archiver", ""),
        ({}, {"millrace_archive": "true", "millrace_warehouse": "true"}, "archiver", "warehouse"),
        ({}, {"millrace_archive": "false"}, "", ""),
        ({"archiver": []}, {"millrace_archive": True}, "", ""),
    ],
    ids=["by default", "turned on", "with a warehouse", "turned off", "without a host"],
)
def test_an_archive_is_where_it_is_asked_for(
    playbook: Playbook,
    tmp_path: Path,
    groups: dict[str, Any],
    variables: Any,
    host: str,
    warehouse: str,
) -> None:
    where = inventory(tmp_path, **groups) if groups else None
    found = shown(playbook, tmp_path, where, **variables)
    assert found["millrace_archiver_hosts"] == (["localhost"] if host else [])
    assert found["millrace_places"]["archiver"] == ({"archiver": "localhost"} if host else {})
    assert found["operator_settings"]["archiver_host"] == host
    assert found["millrace_warehouse_hosts"] == (["localhost"] if warehouse else [])
    assert found["operator_settings"]["warehouse_host"] == warehouse
    assert found["millrace_aws_callers"] == []
    # Its tables are where they are by default.
    for setting in ("catalog", "warehouse", "region"):
        name = f"archive_{setting}"
        for service in ("archiver", "warehouse"):
            assert found[f"{service}_settings"][name] == Settings.model_fields[name].default


def test_on_aws_its_tables_are_where_the_role_makes_a_place_for_them(
    playbook: Playbook, tmp_path: Path
) -> None:
    """With the names of the bucket and the database that the role aws makes."""
    said = {"millrace_archive": True, "millrace_archive_store": "s3"}
    said |= {"millrace_instance": "a-b", "millrace_region": "eu-west-1", "ec2_owner_id": "12"}
    found = shown(playbook, tmp_path, None, **said)
    assert found["millrace_aws_callers"] == ["localhost"]
    made = {"instance": "a-b", "region": "eu-west-1"}
    tables = {
        "archive_catalog": f"glue://{aws_wanted.database(made)}",
        "archive_warehouse": f"s3://{aws_wanted.archive_bucket(made, '12')}",
        "archive_region": "eu-west-1",
    }
    for service in ("archiver", "warehouse"):
        assert tables.items() <= found[f"{service}_settings"].items()


def test_an_archive_on_aws_is_refused_where_hosts_are_not(playbook: Playbook) -> None:
    done = playbook.run("playbooks/deploy/preflight.yml", millrace_archive_store="s3")
    assert done.returncode != 0
    assert "millrace_archive_store is s3: it must be volume, where hosts are" in words(done.stdout)


def test_its_tables_are_on_one_host(playbook: Playbook, tmp_path: Path) -> None:
    where = inventory(tmp_path, archiver=["localhost", "other"], fleet=["localhost", "other"])
    done = playbook.run("playbooks/deploy/preflight.yml", inventory=where, millrace_archive=True)
    assert done.returncode != 0
    said = "localhost, other are in the group archiver: the tables are on one host, keep one"
    assert said in words(done.stdout)


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({}, "there is no archive: set millrace_archive: true too, or millrace_warehouse: false"),
        (
            {"millrace_archive": True},
            "the archive is on localhost: put that host into the group warehouse, and no other",
        ),
    ],
    ids=["without an archive", "on another host"],
)
def test_a_warehouse_is_where_the_archive_is(
    playbook: Playbook, tmp_path: Path, variables: dict[str, bool], said: str
) -> None:
    where = inventory(tmp_path, warehouse=["other"], fleet=["localhost", "other"])
    done = playbook.run(
        "playbooks/deploy/preflight.yml", inventory=where, millrace_warehouse=True, **variables
    )
    assert done.returncode != 0
    assert f"the warehouse is made of the archive's files, and {said}" in words(done.stdout)
