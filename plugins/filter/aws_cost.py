# SPDX-License-Identifier: Apache-2.0
"""The cost of a fleet, computed from the fleet and a dated price list."""

from __future__ import annotations

from typing import Any

Item = dict[str, Any]


def rows(wanted: Item, prices: Item) -> list[Item]:
    """The chargeable items: for each kind its number and the price of one per month."""
    hosts = wanted["hosts"]
    hours = prices["hours_per_month"]
    types = sorted({host["type"] for host in hosts})
    found = [
        {
            "what": name,
            "number": sum(host["type"] == name for host in hosts),
            "month": prices["instances"][name] * hours,
        }
        for name in types
        if name in prices["instances"]
    ]
    storage = sum(host["root_gb"] + host["data_gb"] for host in hosts)
    public = sum(host["public"] for host in hosts)
    nat = int(wanted["nat"])
    found += [
        {"what": "GB of gp3", "number": storage, "month": prices["gp3_gb_month"]},
        # The address of the NAT gateway is public too.
        {"what": "public IPv4", "number": public + nat, "month": prices["public_ipv4"] * hours},
        {"what": "NAT gateway", "number": nat, "month": prices["nat_gateway"] * hours},
    ]
    return [row | {"total": row["number"] * row["month"]} for row in found if row["number"]]


def surplus(wanted: Item, prices: Item) -> list[str]:
    """The price of CPU beyond the credits; it depends on the load and is not in any sum."""
    families = {
        host["type"].split(".")[0] for host in wanted["hosts"] if host["credits"] == "unlimited"
    }
    known = prices["surplus_credits"]
    return [f"{name}: {known[name]} USD a vCPU-hour" for name in sorted(families & known.keys())]


def archive(wanted: Item, prices: Item) -> list[str]:
    """The prices of an archive in S3, which depend on what is kept, and are not in any sum."""
    if not wanted["database"]:
        return []
    return [
        f"{prices['s3_gb_month']} USD a GB-month, {prices['s3_1000_writes']} USD a thousand writes "
        f"and {prices['s3_1000_reads']} USD a thousand reads of files"
    ]


def aws_cost(wanted: Item, prices: Item | None) -> Item:
    """Compute the sums; `unknown` lists items without a price, which no sum includes."""
    if not prices:
        return {
            "rows": [],
            "surplus": [],
            "archive": [],
            "unknown": ["this region: prices/aws has no file for it"],
        }
    types = sorted({host["type"] for host in wanted["hosts"]} - prices["instances"].keys())
    found = rows(wanted, prices)
    month = sum(row["total"] for row in found)
    storage = next(row["total"] for row in found if row["what"] == "GB of gp3")
    nat = sum(row["total"] for row in found if row["what"] == "NAT gateway")
    nat_address = prices["public_ipv4"] * prices["hours_per_month"] * bool(wanted["nat"])
    return {
        "rows": found,
        "month": month,
        "hour": month / prices["hours_per_month"],
        # Stopped hosts keep their disks and no address; a NAT gateway stays.
        "stopped": storage + nat + nat_address,
        "surplus": surplus(wanted, prices),
        "archive": archive(wanted, prices),
        "unknown": types,
        "as_of": prices["as_of"],
        "source": prices["source"],
    }


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, Any]:
        """Return the filter by name."""
        return {"aws_cost": aws_cost}
