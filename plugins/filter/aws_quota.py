# SPDX-License-Identifier: Apache-2.0
"""Whether the hosts to create fit into the account's vCPU quota."""

from __future__ import annotations

from typing import Any

Item = dict[str, Any]


def aws_quota(hosts: list[Item], found: Item) -> list[str]:
    """One line with what to do if the hosts do not fit, otherwise empty.

    `hosts` are those of aws_plan; `found` is the result of the module aws_vcpus_info. A type that
    is not in it is not counted: it has another quota, or does not exist.
    """
    vcpus = found["vcpus"]
    # A replaced host is gone before the new one is created.
    replaced = [host["id"] for host in hosts if host["replace"]]
    in_use = sum(vcpus.get(x["type"], 0) for x in found["running"] if x["id"] not in replaced)
    launched = [
        host
        for host in hosts
        if host["type"] in vcpus
        and (host["replace"] or host["state"] in ("none", "stopped", "stopping"))
    ]
    needed = sum(vcpus[host["type"]] for host in launched)
    if not launched or in_use + needed <= found["quota"]:
        return []
    names = ", ".join(host["name"] for host in launched)
    return [
        f"the account's quota of vCPUs is {found['quota']:g} for standard instances in this "
        f"region, {in_use} are in use, and {needed} more are needed for {names}: ask for more in "
        "the Service Quotas console (Running On-Demand Standard instances), take fewer or smaller "
        "hosts, or remove what is unused"
    ]


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, Any]:
        """Return the filter by name."""
        return {"aws_quota": aws_quota}
