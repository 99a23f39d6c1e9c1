"""What cannot be provisioned is refused before anybody is asked, each with what to do."""

from __future__ import annotations

import copy
import sys
from datetime import date
from typing import Any

import pytest
import yaml
from tests.ansible.conftest import ROOT

sys.path.insert(0, str(ROOT / "plugins" / "action"))

import aws_settings

ALL = ROOT / "inventories" / "aws" / "group_vars" / "all" / "+defaults"
FLEETS = sorted((ROOT / "inventories" / "aws" / "fleets").glob("*.yml"))
TODAY = date(2026, 6, 1)
ALONE = ["kafka", "mongodb", "simulator", "processor", "api", "producers"]


def read(name: str) -> Any:
    return yaml.safe_load((ALL / name).read_text())


def good() -> dict[str, Any]:
    """The inventory as it is in the repository, with what an operator has to fill in."""
    ports = read("ports.yml")
    return {
        "instance": "millrace",
        "region": "us-east-1",
        "owner": "me",
        "expires_at": "never",
        "vpc_cidr": read("network.yml")["millrace_vpc_cidr"],
        # Empty in the inventory: those that AWS says.
        "zones": ["a", "b"],
        "admin_cidr": "203.0.113.7/32",
        "connection": "ssh",
        "ami_parameter": read("environment.yml")["millrace_ami_parameter"],
        "cpu_credits": read("environment.yml")["millrace_cpu_credits"],
        "permissions_boundary": read("environment.yml")["millrace_permissions_boundary"],
        "fleet": read("fleet.yml")["millrace_fleet"],
        "archive_store": read("archive.yml")["millrace_archive_store"],
        "ports": [
            row | {"port": 8443 if "{{" in str(row["port"]) else row["port"]}
            for row in ports["millrace_ports"]
        ],
        "outbound_ports": ports["millrace_outbound_ports"],
        "budget_usd": 0,
        "budget_email": "",
    }


def refused(**changes: Any) -> str:
    """What is said about the good settings with some of them changed."""
    return "; ".join(aws_settings.problems(good() | changes, TODAY))


def fleet(index: int, **changes: Any) -> list[dict[str, Any]]:
    """The fleet with one of its hosts changed."""
    hosts = copy.deepcopy(good()["fleet"])
    hosts[index] |= changes
    return hosts


@pytest.fixture
def session_plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine has what sessions of Systems Manager need."""
    monkeypatch.setattr(aws_settings.shutil, "which", lambda name: f"/usr/bin/{name}")


UBUNTU = {"ami_parameter": "/aws/service/canonical/ubuntu/server/24.04/stable/current/amd64"}


def test_the_inventory_is_good_once_it_is_filled_in() -> None:
    assert refused() == ""
    assert refused(zones=read("network.yml")["millrace_zones"]) == ""
    as_it_is = refused(owner="", admin_cidr="")
    assert "millrace_owner is missing" in as_it_is
    assert "millrace_admin_cidr is missing" in as_it_is


@pytest.mark.parametrize("path", FLEETS, ids=lambda path: path.stem)
def test_the_example_fleets_are_good(path: Any) -> None:
    assert refused(fleet=yaml.safe_load(path.read_text())["millrace_fleet"]) == ""


def test_three_brokers_and_three_members_can_be_said() -> None:
    hosts = [
        {"name": f"{role}-{n}", "roles": [role], "type": "t3.small", "data_gb": 20, "zone": zone}
        | {"node_id": n}
        for role in ("kafka", "mongodb")
        for n, zone in ((1, "a"), (2, "b"), (3, "a"))
    ]
    rest = [host for host in good()["fleet"] if not {"kafka", "mongodb"} & set(host["roles"])]
    assert refused(fleet=[*hosts, *rest]) == ""
    hosts[4]["node_id"] = 0
    assert "host mongodb-2 has no node_id" in refused(fleet=[*hosts, *rest])
    hosts[4]["node_id"] = 3
    assert "2 mongodb hosts have node_id 3" in refused(fleet=[*hosts, *rest])


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"fleet": [*good()["fleet"], good()["fleet"][2]]}, "2 hosts are called processor-1"),
        ({"fleet": fleet(0, roles=["kafak"])}, "unknown role kafak: did you mean kafka?"),
        ({"fleet": fleet(0, name="kafka")}, "host kafka: its name must be"),
        ({"fleet": fleet(0, disk_gb=3)}, "unknown key disk_gb: it must be one of data_gb"),
        ({"fleet": [fleet(0)[0] | {True: 1}]}, "unknown key True: it must be one of data_gb"),
        ({"fleet": fleet(0, data_gb=0)}, "host kafka-1 keeps data: give it a volume"),
        ({"fleet": fleet(0, node_id=0)}, "host kafka-1 has no node_id"),
        ({"fleet": fleet(0, zone="z")}, "zone z is not in millrace_zones"),
        ({"fleet": fleet(0, type="")}, "host kafka-1 has no type"),
        ({"fleet": fleet(3, subnet="private")}, "set millrace_connection: ssm"),
        ({"fleet": fleet(1, roles=["mongodb", "kafka"], node_id=2)}, "2 kafka hosts are an even"),
        (
            {"fleet": fleet(1, roles=["mongodb", "kafka"], node_id=1)},
            "kafka hosts have node_id 1",
        ),
        (
            {"fleet": [host | {"roles": [*host["roles"], "redis"]} for host in good()["fleet"]]},
            "4 hosts have the role redis",
        ),
        (
            {"fleet": [host | {"roles": [*host["roles"], "archiver"]} for host in good()["fleet"]]},
            "4 hosts have the role archiver: the tables are on one; give it to one",
        ),
        (
            {
                "fleet": fleet(2, roles=["processor", "api", "archiver"]),
                "archive_store": "volume",
            },
            "host processor-1 keeps data: give it a volume",
        ),
        (
            {"fleet": fleet(2, roles=["processor", "api", "warehouse"])},
            "host processor-1 has the role warehouse without archiver: the warehouse reads the"
            " archive's files, give both to one host",
        ),
        ({"archive_store": "glue"}, "millrace_archive_store is glue: it must be s3 or volume"),
        (
            {"fleet": fleet(2, roles=["processor", "api", "dashboard"])},
            "host processor-1 has the role dashboard without warehouse: the dashboard reads the"
            " warehouse's file, give both to one host",
        ),
        ({"fleet": good()["fleet"][:3]}, "no host of millrace_fleet has the role producers"),
        ({"fleet": []}, "millrace_fleet is empty"),
        ({"admin_cidr": "0.0.0.0/0"}, "opens SSH and the API to the world"),
        ({"admin_cidr": "0.0.0.0/1"}, "opens SSH and the API to the world"),
        ({"admin_cidr": "me"}, "millrace_admin_cidr is me"),
        ({"admin_cidr": "203.0.113.7"}, "millrace_admin_cidr is 203.0.113.7: no range as"),
        ({"admin_cidr": "203.0.113.0/255.255.255.0"}, "no range as 203.0.113.7/32"),
        ({"admin_cidr": "203.0.113.7/24"}, "no range as 203.0.113.7/32"),
        ({"ports": [{"to": "api", "ports": 1, "from": ["api"]}]}, "did you mean port?"),
        ({"ports": [{"to": "api", "port": 443, "from": ["0.0.0.0/0"]}]}, "open to 0.0.0.0/0"),
        ({"ports": [{"to": "kafka", "port": 9092, "from": ["al"]}]}, "unknown source al"),
        ({"ports": [{"to": "kafka", "port": "9-8", "from": ["api"]}]}, "must be a port or a range"),
        ({"ports": [{"to": "kafkas", "port": 1, "from": ["api"]}]}, "did you mean kafka?"),
        (
            {"region": "us-east-11"},
            "unknown region us-east-11 in aws_ec2.yml: did you mean us-east-1",
        ),
        ({"vpc_cidr": "10.0.0.0/24"}, "too small"),
        ({"vpc_cidr": "8.8.0.0/16"}, "no private range"),
        ({"vpc_cidr": "172.16.0.0/12"}, "too large"),
        ({"vpc_cidr": "172.20.0.0/16"}, "Docker uses 172.20.0.0/16"),
        ({"expires_at": "2026-05-31"}, "which is past"),
        ({"expires_at": "tomorrow"}, "it must be a day as 2026-12-31"),
        ({"connection": "telnet"}, "it must be ssh or ssm"),
        ({"cpu_credits": "none"}, "must be unlimited or standard"),
        ({"instance": "Mill Race"}, "lower-case letters"),
        ({"budget_usd": 10}, "millrace_budget_email is missing"),
        ({"zones": ["a", "a"]}, "each once"),
    ],
)
def test_what_cannot_be_is_refused(changes: dict[str, Any], says: str) -> None:
    assert says in refused(**changes)


def test_a_fleet_may_be_with_a_redis_and_without_one() -> None:
    assert not any("redis" in host["roles"] for host in good()["fleet"])
    assert refused() == ""
    # It keeps nothing that could not be made again: it needs no volume.
    assert refused(fleet=fleet(2, roles=["processor", "api", "redis"])) == ""


def test_an_archive_is_in_s3_or_on_a_host_with_a_volume_of_its_own() -> None:
    assert refused(fleet=fleet(2, roles=["processor", "api", "archiver"])) == ""
    for roles in (["mongodb", "archiver"], ["mongodb", "archiver", "warehouse"]):
        assert refused(fleet=fleet(1, roles=roles)) == ""
        assert refused(fleet=fleet(1, roles=roles), archive_store="volume") == ""


def test_an_archive_is_on_a_host_with_a_volume_of_its_own() -> None:
    assert refused(fleet=fleet(1, roles=["mongodb", "archiver"])) == ""
    assert refused(fleet=fleet(1, roles=["mongodb", "archiver", "warehouse"])) == ""
    of_all = ["mongodb", "archiver", "warehouse", "dashboard"]
    assert refused(fleet=fleet(1, roles=of_all)) == ""


@pytest.mark.usefixtures("session_plugin")
def test_a_private_host_is_good_where_ssm_reaches_it() -> None:
    assert refused(fleet=fleet(3, subnet="private"), connection="ssm", **UBUNTU) == ""


@pytest.mark.usefixtures("session_plugin")
def test_ssm_is_refused_for_an_image_without_its_agent() -> None:
    assert "Debian's image comes without the agent" in refused(connection="ssm")


def test_a_machine_without_the_program_that_reaches_hosts_is_told_which(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(aws_settings.shutil, "which", lambda _: None)
    assert "session-manager-plugin is not on" in refused(connection="ssm", **UBUNTU)
    assert "ssh is not on this machine's PATH: install the package" in refused(connection="ssh")
    monkeypatch.setattr(aws_settings.shutil, "which", lambda name: f"/usr/bin/{name}")
    assert refused() == ""
