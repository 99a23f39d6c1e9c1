# SPDX-License-Identifier: Apache-2.0
"""The availability zones of an environment, and whether they offer what it needs.

`zones` is the result of the module aws_zones_info: the types that each zone offers, by its letter.
"""

from __future__ import annotations

import ipaddress
from typing import Any

Item = dict[str, Any]
Zones = dict[str, list[str]]
NUMBER = 2


def aws_zones(settings: Item, found: list[Item], zones: Zones) -> list[str]:
    """Return the zones that are set, or those of the existing subnets and the missing ones.

    Zones that offer every type of the fleet come first, then those that hosts name. `found` are
    the subnets, which keep their order, because their ranges depend on it.
    """
    if settings["zones"]:
        return list(settings["zones"])
    prefix = f"{settings['instance']}-public-"
    named = {item["tags"].get("Name", ""): item for item in found}
    mine = [item for name, item in named.items() if name.startswith(prefix)]
    mine.sort(key=lambda item: ipaddress.ip_network(item["cidr"]))
    chosen = [item["zone"].removeprefix(settings["region"]) for item in mine]
    types = {host.get("type") for host in settings["fleet"]}
    # A host that names a zone has to be in it, whatever else applies.
    asked = [host["zone"] for host in settings["fleet"] if host.get("zone")]
    whole = [letter for letter, offered in zones.items() if types <= set(offered)]
    for letter in [*asked, *whole]:
        if letter not in chosen and (letter in asked or len(chosen) < NUMBER):
            chosen.append(letter)
    return chosen


def aws_no_zone(fleet: list[Item], zones: Zones, region: str) -> str:
    """Explain why no zone could be chosen: no zone offers a type, or none offers all types."""
    lines = [
        f"no zone of {region} offers {host['type']} for {host['name']}: "
        "give the host a type that there is"
        for host in fleet
        if not any(host["type"] in offered for offered in zones.values())
    ]
    meet = f"no zone of {region} offers every type of millrace_fleet: set millrace_zones"
    return "; ".join(lines) or meet


def aws_zone_problems(hosts: list[Item], chosen: list[str], zones: Zones, region: str) -> list[str]:
    """Report zones that do not exist, and zones that do not offer a host's type.

    `hosts` are those to create, as returned by aws_wanted.
    """
    have = ", ".join(zones) or "none"
    lines = [
        f"{region} has no zone {letter} for this account: set millrace_zones to some of {have}"
        for letter in chosen
        if letter not in zones
    ]
    for host in hosts:
        letter = host["zone"].removeprefix(region)
        if letter in zones and host["type"] not in zones[letter]:
            offering = ", ".join(x for x, types in zones.items() if host["type"] in types)
            lines.append(
                f"{host['zone']} does not offer {host['type']} for {host['name']}: give the host "
                + (f"another zone ({offering})" if offering else "a type that there is")
            )
    return lines


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Any]:
        """Return the filters by name."""
        return {
            "aws_no_zone": aws_no_zone,
            "aws_zones": aws_zones,
            "aws_zone_problems": aws_zone_problems,
        }
