# SPDX-License-Identifier: Apache-2.0
"""Filters of the inventories: which service is on which host, and how other hosts reach it.

Places are the hosts of services, by group and by the service's name in its network:

    {"kafka": {"kafka-1": "host-a"}, "mongodb": {"mongodb": "host-b"}, "producers": {...}, ...}
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError

Places = Mapping[str, Mapping[str, str]]

NUMBERED = {"kafka": "kafka", "mongodb": "mongodb"}
ONLY = ("simulator", "api", "redis", "archiver", "warehouse")
"""Groups of which only the first host is called."""


def named(kind: str, number: int) -> str:
    """The name of a server. The first member of a replica set has no number in its name."""
    return kind if kind == "mongodb" and number < 2 else f"{kind}-{number}"


def owner(names: Sequence[str], hosts: Sequence[str], name: str) -> str:
    """The host of a producer: producers are spread over the hosts in turn."""
    return hosts[names.index(name) % len(hosts)]


def placement(
    groups: Mapping[str, Sequence[str]],
    hostvars: Mapping[str, Any],
    producers: Iterable[Mapping[str, Any]],
) -> dict[str, dict[str, str]]:
    """Return the host of each service."""
    found: dict[str, dict[str, str]] = {}
    for group, kind in NUMBERED.items():
        found[group] = {}
        for host in groups.get(group, []):
            number = str(hostvars[host]["millrace_node_id"])
            if not re.fullmatch("[0-9]+", number):
                raise AnsibleFilterError(
                    f"millrace_node_id of {host} is {number}: it must be a whole number"
                )
            name = named(kind, int(number))
            if name in found[group]:
                raise AnsibleFilterError(
                    f"{found[group][name]} and {host} would both be {name}:"
                    " give each host of a group a millrace_node_id of its own"
                )
            found[group][name] = host
    for group in ONLY:
        found[group] = {group: groups[group][0]} if groups.get(group) else {}
    hosts = groups.get("producers", [])
    names = [producer["name"] for producer in producers] if hosts else []
    found["producers"] = {f"producer-{name}": owner(names, hosts, name) for name in names}
    return found


def addresses_elsewhere(
    found: Places, hostvars: Mapping[str, Any], here: str
) -> dict[str, dict[str, str]]:
    """Return the addresses of services on other hosts; Docker's network resolves local names."""
    return {
        group: {
            name: hostvars[host]["millrace_private_address"]
            for name, host in names.items()
            if host != here
        }
        for group, names in found.items()
    }


def name_on(names: Mapping[str, str], host: str) -> str:
    """Return the name of this host's server; empty if there is none."""
    return next((name for name, place in names.items() if place == host), "")


def producers_on(
    producers: Sequence[Mapping[str, Any]], hosts: Sequence[str], host: str
) -> list[dict[str, Any]]:
    """List the producers of a host."""
    names = [producer["name"] for producer in producers]
    return [dict(one) for one in producers if owner(names, hosts, one["name"]) == host]


def probes(names: Mapping[str, str], here: str, first_port: int) -> list[str]:
    """List the producers' probes: by name on this host, by port on other hosts."""
    count: dict[str, int] = {}
    found = []
    for name, host in names.items():
        port = int(first_port) + count.get(host, 0)
        count[host] = count.get(host, 0) + 1
        found.append(name if host == here else f"{name}:{port}")
    return found


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Any]:
        """Return the filters by name."""
        return {
            "placement": placement,
            "addresses_elsewhere": addresses_elsewhere,
            "name_on": name_on,
            "producers_on": producers_on,
            "probes": probes,
        }
