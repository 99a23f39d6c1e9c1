"""Ansible action: check that the settings of an environment on AWS can be provisioned.

It sends no requests and changes nothing. It checks names, addresses, the fleet and the ports
against each other and against the limits of AWS, Docker and this machine, and reports all problems
at once.

    - name: Check that the settings fit together
      aws_settings:
        settings: "{{ aws_plan_settings }}"
"""

from __future__ import annotations

import difflib
import functools
import ipaddress
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

import boto3
from ansible.plugins.action import ActionBase

NEEDED = ("kafka", "mongodb", "simulator", "processor", "api", "producers")
ONLY = {
    "redis": "services ask one",
    "archiver": "the tables are on one",
    "warehouse": "it is on the archive's",
    "dashboard": "it is on the warehouse's",
}
ROLES = (*NEEDED, *ONLY)
NUMBERED = ("kafka", "mongodb")
HOST_KEYS = {"name", "roles", "type", "subnet", "zone", "root_gb", "data_gb", "node_id"}
PORT_KEYS = {"to", "port", "from", "purpose"}
NAME = re.compile(r"[a-z][a-z0-9-]{0,29}")
INSTANCE = re.compile(r"[a-z][a-z0-9-]{1,19}")
# Subnets of a /16 have 256 addresses, those of a /20 have 16, of which AWS reserves five.
VPC_PREFIXES = range(16, 21)
WIDEST_ADMIN = 8
DOCKER = [ipaddress.ip_network(f"172.{number}.0.0/16") for number in range(17, 32)]
DOCKER.append(ipaddress.ip_network("192.168.0.0/16"))

Item = dict[str, Any]
Network = ipaddress.IPv4Network


def near(name: str, known: Any) -> str:
    """Name the most similar choice, or all choices."""
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {close[0]}?" if close else f"it must be one of {', '.join(sorted(known))}"


@functools.cache
def regions() -> list[str]:
    """The regions that boto3 knows, without a request."""
    # Every region has STS, whose description takes less time to read than EC2's.
    return list(boto3.session.Session().get_available_regions("sts"))


def network(text: str) -> Network | None:
    """Read an address range in CIDR notation."""
    try:
        found = ipaddress.IPv4Network(text)
    except ValueError:
        return None
    return found if str(found) == text else None


def place(settings: Item) -> Iterator[str]:
    """List the problems with region, zones, name and owner."""
    if not INSTANCE.fullmatch(settings["instance"]):
        yield "tag:Environment in aws_ec2.yml: 2 to 20 lower-case letters, digits and hyphens"
    if settings["region"] not in regions():
        advice = near(settings["region"], regions())
        yield f"unknown region {settings['region']} in aws_ec2.yml: {advice}"
    if not settings["owner"]:
        yield "millrace_owner is missing: say who is asked about what runs"
    zones = settings["zones"]
    letters = all(re.fullmatch("[a-z]", str(zone)) for zone in zones)
    if len(set(zones)) < len(zones) or not letters:
        yield "millrace_zones: the letters of zones, each once, as [a, b]; or [] for any"
    if settings["connection"] not in ("ssh", "ssm"):
        yield f"millrace_connection is {settings['connection']}: it must be ssh or ssm"
    if settings["connection"] == "ssh":
        yield from ssh()
    if settings["connection"] == "ssm":
        yield from ssm(settings)
    if settings["cpu_credits"] not in ("unlimited", "standard"):
        yield f"millrace_cpu_credits is {settings['cpu_credits']}: it must be unlimited or standard"
    if settings["archive_store"] not in ("s3", "volume"):
        yield f"millrace_archive_store is {settings['archive_store']}: it must be s3 or volume"
    if settings["budget_usd"] and "@" not in settings["budget_email"]:
        yield "millrace_budget_email is missing: nobody would get the mail of millrace_budget_usd"


def ssm(settings: Item) -> Iterator[str]:
    """List what is missing to reach the hosts over Systems Manager."""
    if "/debian/" in settings["ami_parameter"]:
        yield (
            "millrace_connection is ssm, and Debian's image comes without the agent of Systems "
            "Manager: set millrace_ami_parameter to Ubuntu's, which has it (docs/aws.md)"
        )
    if not shutil.which("session-manager-plugin"):
        yield (
            "millrace_connection is ssm, and session-manager-plugin is not on this machine's PATH: "
            "install it as AWS's documentation of Session Manager says"
        )


def ssh() -> Iterator[str]:
    """List what is missing on this machine to reach the hosts over SSH."""
    if not shutil.which("ssh"):
        yield "ssh is not on this machine's PATH: install the package openssh-client"


def expiry(settings: Item, today: date) -> Iterator[str]:
    """List the problems with the expiry date."""
    text = str(settings["expires_at"])
    if text == "never":
        return
    try:
        last = date.fromisoformat(text)
    except ValueError:
        yield f"millrace_expires_at is {text}: it must be a day as 2026-12-31, or never"
    else:
        if last < today:
            yield f"millrace_expires_at is {text}, which is past: set a later day, or never"


def ranges(settings: Item) -> Iterator[str]:
    """List the problems with address ranges."""
    admin, vpc = network(settings["admin_cidr"]), network(settings["vpc_cidr"])
    if not settings["admin_cidr"]:
        yield "millrace_admin_cidr is missing: the addresses that you come from, as 203.0.113.7/32"
    elif admin is None:
        yield f"millrace_admin_cidr is {settings['admin_cidr']}: no range as 203.0.113.7/32"
    elif admin.prefixlen < WIDEST_ADMIN:
        yield (
            f"millrace_admin_cidr is {admin}: that opens SSH and the API to the world; "
            "name the addresses that you come from, as 203.0.113.7/32"
        )
    if vpc is None or not vpc.is_private:
        yield f"millrace_vpc_cidr is {settings['vpc_cidr']}: no private range as 10.42.0.0/16"
    elif vpc.prefixlen not in VPC_PREFIXES:
        size = "small" if vpc.prefixlen > VPC_PREFIXES[-1] else "large"
        yield f"millrace_vpc_cidr is {vpc}: too {size}, it must be a /16 to /20"
    elif taken := next((other for other in DOCKER if other.overlaps(vpc)), None):
        yield f"millrace_vpc_cidr is {vpc}: Docker uses {taken} on each host; set 10.42.0.0/16, say"


def host(item: Item, settings: Item) -> Iterator[str]:
    """List the problems with a host."""
    name = str(item.get("name", "?"))
    if not NAME.fullmatch(name) or name in ROLES:
        yield f"host {name}: its name must be lower-case letters, digits and hyphens, and no role's"
    for key in sorted(map(str, item.keys() - HOST_KEYS)):
        yield f"host {name}: unknown key {key}: {near(key, HOST_KEYS)}"
    roles = item.get("roles") or []
    if not roles:
        yield f"host {name} has no roles"
    for role in roles:
        if role not in ROLES:
            yield f"host {name}: unknown role {role}: {near(role, ROLES)}"
    if not item.get("type"):
        yield f"host {name} has no type, as t3.small"
    subnet = item.get("subnet", "public")
    if subnet not in ("public", "private"):
        yield f"host {name}: subnet is {subnet}: it must be public or private"
    if subnet == "private" and settings["connection"] != "ssm":
        yield f"host {name} is private, and SSH cannot reach it: set millrace_connection: ssm"
    if settings["zones"] and item.get("zone", settings["zones"][0]) not in settings["zones"]:
        yield f"host {name}: zone {item['zone']} is not in millrace_zones"
    with_data = (*NUMBERED, *(["archiver"] if settings["archive_store"] == "volume" else []))
    if set(roles) & set(with_data) and not item.get("data_gb"):
        yield f"host {name} keeps data: give it a volume of its own, as data_gb: 20"


def numbers(role: str, hosts: list[Item]) -> Iterator[str]:
    """Name the hosts of a role that lack a unique number. A single database needs none."""
    for item in hosts:
        if not item.get("node_id") and (role == "kafka" or len(hosts) > 1):
            yield (
                f"host {item.get('name')} has no node_id: give each {role} host a number that no "
                "other ever had"
            )
    counted = Counter(item["node_id"] for item in hosts if item.get("node_id"))
    yield from (f"{n} {role} hosts have node_id {x}" for x, n in counted.items() if n > 1)


def fleet(settings: Item) -> Iterator[str]:
    """List the problems with the fleet as a whole."""
    hosts = settings["fleet"]
    if not hosts:
        yield "millrace_fleet is empty"
    for item in hosts:
        yield from host(item, settings)
    counted = Counter(str(item["name"]) for item in hosts if item.get("name"))
    yield from (f"{n} hosts are called {name}: once only" for name, n in counted.items() if n > 1)
    for role in NUMBERED:
        yield from numbers(role, [item for item in hosts if role in (item.get("roles") or [])])
    roles = Counter(role for item in hosts for role in item.get("roles") or [])
    absent = [role for role in NEEDED if hosts and not roles[role]]
    yield from (f"no host of millrace_fleet has the role {role}" for role in absent)
    for role, reason in ONLY.items():
        if roles[role] > 1:
            yield f"{roles[role]} hosts have the role {role}: {reason}; give it to one"
    for item in hosts:
        if {"archiver", "warehouse"} & set(item.get("roles") or []) == {"warehouse"}:
            yield (
                f"host {item.get('name')} has the role warehouse without archiver: the warehouse "
                "reads the archive's files, give both to one host"
            )
        if {"warehouse", "dashboard"} & set(item.get("roles") or []) == {"dashboard"}:
            yield (
                f"host {item.get('name')} has the role dashboard without warehouse: the dashboard "
                "reads the warehouse's file, give both to one host"
            )
    for role, what in (("kafka", "controllers"), ("mongodb", "members of the replica set")):
        if roles[role] and roles[role] % 2 == 0:
            yield (
                f"{roles[role]} {role} hosts are an even number of {what}, which survives no more "
                f"failures than {roles[role] - 1}: have {roles[role] - 1} or {roles[role] + 1}"
            )


def ports(settings: Item) -> Iterator[str]:
    """List the problems with the table of ports."""
    for row in settings["ports"]:
        label = f"millrace_ports, port {row.get('port')} of {row.get('to')}"
        for key in sorted(map(str, row.keys() - PORT_KEYS)):
            yield f"{label}: unknown key {key}: {near(key, PORT_KEYS)}"
        if row.get("to") not in (*ROLES, "all"):
            advice = near(str(row.get("to")), (*ROLES, "all"))
            yield f"{label}: unknown role {row.get('to')}: {advice}"
        for source in row.get("from") or ["nobody"]:
            if network(str(source)) is not None:
                yield f"{label}: open to {source}; a port is open to roles and to admin alone"
            elif source not in (*ROLES, "admin"):
                yield f"{label}: unknown source {source}: {near(str(source), (*ROLES, 'admin'))}"
        numbers = [int(x) for x in re.findall(r"\d+", str(row.get("port")))]
        shape = re.fullmatch(r"\d+(-\d+)?", str(row.get("port")))
        if not shape or numbers != sorted(numbers) or not all(0 < x < 2**16 for x in numbers):
            yield f"{label}: it must be a port or a range as 9093-9094"


def problems(settings: Item, today: date) -> list[str]:
    """List all problems, each with what to do."""
    parts = (place(settings), expiry(settings, today), ranges(settings), fleet(settings))
    return [line for part in (*parts, ports(settings)) for line in part]


class ActionModule(ActionBase):
    """The action that Ansible runs for a task named after this file."""

    _requires_connection = False

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Check the settings."""
        super().run(tmp, task_vars)
        _, arguments = self.validate_argument_spec({"settings": {"type": "dict", "required": True}})
        lines = problems(arguments["settings"], datetime.now(UTC).date())
        return {"failed": bool(lines), "msg": "; ".join(lines) or "the settings fit together"}
