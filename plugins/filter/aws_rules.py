# SPDX-License-Identifier: Apache-2.0
"""Rules of a security group, from the plan's one-line form to that of the module that sets them."""

from __future__ import annotations

from typing import Any


def aws_rules(lines: list[str], groups: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One rule a line; a group comes with its description, as the module may have to make it."""
    descriptions = {group["name"]: group["description"] for group in groups}
    rules = []
    for line in lines:
        protocol, ports, peer = line.split(" ")
        rule: dict[str, Any] = {"proto": protocol, "ports": [ports]}
        if peer in descriptions:
            rule |= {"group_name": peer, "group_desc": descriptions[peer]}
        else:
            rule |= {"cidr_ip": peer}
        rules.append(rule)
    return rules


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, Any]:
        """Return it by name."""
        return {"aws_rules": aws_rules}
