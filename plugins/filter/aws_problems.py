# SPDX-License-Identifier: Apache-2.0
"""What is on AWS already and is in the way of what is wanted: each with what to do."""

from __future__ import annotations

import ipaddress
from collections import Counter
from typing import Any

Item = dict[str, Any]


def by_name(items: list[Item]) -> dict[str, Item]:
    """Index found resources by name; those that were made half have none yet."""
    return {item.get("name") or item["tags"].get("Name", item["id"]): item for item in items}


def network_problems(wanted: Item, found: Item) -> list[str]:
    """What is in the way in the network."""
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
    """What a host keeps all its life, as it is and as it should be."""
    subnet = (subnets.get(exists["subnet"], exists["subnet"]), host["subnet"])
    zone = (exists["zone"], host["zone"])
    # A disk that is being made has no size yet.
    disk = exists["root_gb"] or host["root_gb"]
    return [
        (exists["type"], host["type"]),
        # In another zone it is in another subnet too: that is one thing to say.
        zone if zone[0] != zone[1] else (f"in {subnet[0]}", f"in {subnet[1]}"),
        (f"on a disk of {disk} GB", f"on a disk of {host['root_gb']} GB"),
    ]


def host_problems(wanted: Item, found: Item, replace: str) -> list[str]:
    """What provisioning will not do with hosts by itself."""
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


def aws_problems(wanted: Item, found: Item, replace: str = "") -> list[str]:
    """Everything that provisioning will not do by itself."""
    return network_problems(wanted, found) + host_problems(wanted, found, replace)


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, Any]:
        """Return it by name."""
        return {"aws_problems": aws_problems}
