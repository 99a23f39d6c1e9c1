# SPDX-License-Identifier: Apache-2.0
"""Existing AWS resources that prevent the declared state, each with what to do about it."""

from __future__ import annotations

import ipaddress
from collections import Counter
from typing import Any

Item = dict[str, Any]


def by_name(items: list[Item]) -> dict[str, Item]:
    """Index found resources by name; resources of an interrupted creation have none yet."""
    return {item.get("name") or item["tags"].get("Name", item["id"]): item for item in items}


def network_problems(wanted: Item, found: Item) -> list[str]:
    """Problems with the network."""
    if len(found["vpcs"]) > 1:
        ids = ", ".join(vpc["id"] for vpc in found["vpcs"])
        return [f"several VPCs have the tag Environment={wanted['name']} ({ids}): remove one"]
    lines = [
        f"the VPC {vpc['id']} has {vpc['cidr']} and millrace_vpc_cidr says {wanted['vpc_cidr']}: "
        "a VPC keeps its range, so set it back, or run teardown.yml first"
        for vpc in found["vpcs"]
        if vpc["cidr"] != wanted["vpc_cidr"]
    ]
    if lines:
        return lines
    there = by_name(found["subnets"])
    for item in wanted["subnets"]:
        exists = there.pop(item["name"], None)
        if exists and (exists["cidr"], exists["zone"]) != (item["cidr"], item["zone"]):
            lines.append(
                f"the subnet {item['name']} has {exists['cidr']} in {exists['zone']} and should "
                f"have {item['cidr']} in {item['zone']}: put the order of millrace_zones back"
            )
    for item in wanted["subnets"]:
        lines += [
            f"{item['cidr']} is taken by {name} ({other['id']}, {other['cidr']}): remove that one"
            for name, other in there.items()
            if ipaddress.ip_network(item["cidr"]).overlaps(ipaddress.ip_network(other["cidr"]))
        ]
    return lines


def fixed(host: Item, exists: Item, subnets: dict[str, str]) -> list[tuple[str, str]]:
    """Properties of a host that can never change, as they are and as declared."""
    subnet = (subnets.get(exists["subnet"], exists["subnet"]), host["subnet"])
    zone = (exists["zone"], host["zone"])
    # A disk that is being created has no size yet.
    disk = exists["root_gb"] or host["root_gb"]
    return [
        (exists["type"], host["type"]),
        # A host in another zone is in another subnet too, which is reported once.
        zone if zone[0] != zone[1] else (f"in {subnet[0]}", f"in {subnet[1]}"),
        (f"on a disk of {disk} GB", f"on a disk of {host['root_gb']} GB"),
    ]


def host_problems(wanted: Item, found: Item, replace: str) -> list[str]:
    """Problems with hosts that provisioning does not solve."""
    lines = [
        f"{times} instances are called {name}: terminate those that are too many in the AWS console"
        for name, times in Counter(x["name"] for x in found["instances"]).items()
        if times > 1
    ]
    names = [host["name"] for host in wanted["hosts"]]
    if replace and replace not in names:
        lines.append(f"replace={replace}: millrace_fleet has no such host ({', '.join(names)})")
    there, volumes = by_name(found["instances"]), {x["host"]: x for x in found["volumes"]}
    subnets = {subnet["id"]: name for name, subnet in by_name(found["subnets"]).items()}
    for host in wanted["hosts"]:
        name, exists = host["name"], there.get(host["name"])
        if exists and name != replace:
            lines += [
                f"{name} is {is_now} and should be {should}: -e replace={name} makes the host anew "
                "and keeps its data volume; or set it back"
                for is_now, should in fixed(host, exists, subnets)
                if is_now != should
            ]
        volume = volumes.get(name)
        if volume and volume["zone"] != host["zone"]:
            lines.append(
                f"the data volume of {name} ({volume['id']}) is in {volume['zone']}, and the host "
                f"should be in {host['zone']}: a volume cannot move, so set the zone back"
            )
        if volume and volume["size"] != host["data_gb"]:
            lines.append(
                f"the data volume of {name} ({volume['id']}) has {volume['size']} GB and data_gb "
                f"says {host['data_gb']}: set it back (docs/aws.md says how to make one larger)"
            )
    return lines


def with_role(item: Item, role: str) -> bool:
    """Whether a host has a role."""
    return role in item["tags"].get("Role", "").split("+")


def moved(role: str, wanted: Item, found: Item) -> list[str]:
    """The brokers, or database members, that differ from those that hold the data.

    Volumes are created after all hosts, so all hosts of a role with a volume have existed once.
    """
    volumes = {x["host"] for x in found["volumes"]}
    there = {x["name"]: x for x in found["instances"] if with_role(x, role)}
    hosts = {host["name"]: host for host in wanted["hosts"] if with_role(host, role)}
    deployed = sorted(there.keys() & volumes)
    if not deployed:
        return []
    back = f"set millrace_fleet back, or run teardown.yml -e delete_data={wanted['name']} first"
    lines = [
        f"{name} holds data of {role}, and millrace_fleet gives it this role no longer: it would "
        f"be left behind; {back}"
        for name in deployed
        if name not in hosts
    ]
    added = [name for name in hosts if name not in there and name not in volumes]
    # A host with a volume and without an instance is being replaced.
    added += [
        x["name"] for x in found["instances"] if x["name"] in hosts and x["name"] not in there
    ]
    lines += [
        f"{name} would be one more {role} beside {', '.join(deployed)}, whose cluster has data and "
        f"cannot grow yet: it would lose what it agreed on; {back}"
        for name in added
    ]
    return lines + [
        f"{name} has the node_id {now or 0} and should have {then}: its data is that of the old "
        f"number and the new one would begin empty; {back}"
        for name, host in hosts.items()
        if name in deployed
        for now, then in [(there[name]["tags"].get("NodeId", "0"), host["tags"]["NodeId"])]
        # The first member of a replica set may be 0 or 1.
        if now != then and not (role == "mongodb" and {now, then} <= {"0", "1"})
    ]


def left_behind(wanted: Item, found: Item) -> list[str]:
    """Data volumes whose host is gone, and that no host of the fleet would get."""
    names = [host["name"] for host in wanted["hosts"] if host["data_gb"]]
    there = {x["name"] for x in found["instances"]}
    return [
        f"the data volume of {x['host']} ({x['id']}) is there and millrace_fleet has no such host "
        "with data: name it so again, or delete the volume in the AWS console"
        for x in found["volumes"]
        if x["host"] not in names and x["host"] not in there
    ]


def identity_problems(wanted: Item, found: Item) -> list[str]:
    """Problems that would lose data or leave it behind."""
    lines = [line for role in ("kafka", "mongodb") for line in moved(role, wanted, found)]
    return lines + left_behind(wanted, found)


def boundary_problems(wanted: Item, found: Item) -> list[str]:
    """A missing permissions boundary, which only the account's administrator may create."""
    if not wanted["boundary"] or found["boundary"]:
        return []
    name = wanted["boundary"].rpartition("/")[2]
    return [
        f"the account has no policy {name} to bound the roles of hosts: who administers it makes "
        f"it once, with `aws iam create-policy --policy-name {name} --policy-document "
        "file://docs/aws-hosts-boundary.json`; or set millrace_permissions_boundary"
    ]


def aws_problems(wanted: Item, found: Item, replace: str = "") -> list[str]:
    """All problems that provisioning does not solve."""
    lines = network_problems(wanted, found) + host_problems(wanted, found, replace)
    return lines + identity_problems(wanted, found) + boundary_problems(wanted, found)


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, Any]:
        """Return the filter by name."""
        return {"aws_problems": aws_problems}
