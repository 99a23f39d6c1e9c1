# SPDX-License-Identifier: Apache-2.0
"""What has to be done on AWS: the declared resources (aws_wanted) compared with the existing ones.

`found` is the result of the module aws_environment_info. The plan has every declared resource, with
the id of the existing one and whether it differs; `steps` describes what provisioning would do.
"""

from __future__ import annotations

from typing import Any

Item = dict[str, Any]


def by_name(items: list[Item]) -> dict[str, Item]:
    """Index found resources by name; resources of an interrupted creation have none yet."""
    return {item.get("name") or item["tags"].get("Name", item["id"]): item for item in items}


def joined(wanted: list[Item], found: list[Item], *compared: str) -> list[Item]:
    """Add to a declared resource the existing one's id, and whether one of the keys differs."""
    there = by_name(found)
    result = []
    for item in wanted:
        exists = there.get(item["name"], {})
        differs = any(item[key] != exists[key] for key in compared if exists)
        result.append(item | {"id": exists.get("id", ""), "changed": differs})
    return result


def first_id(items: list[Item]) -> str:
    """The id of the first resource."""
    return str(items[0]["id"]) if items else ""


def tables(wanted: Item, found: Item, network: Item) -> list[Item]:
    """The route tables: public subnets use one gateway, private subnets another, or none."""
    there = by_name(found["tables"])
    result = []
    ways = (("public", network["gateway"], True), ("private", network["nat"], wanted["nat"]))
    for kind, exit_id, needed in ways:
        inside = [x for x in network["subnets"] if x["kind"] == kind]
        exists = there.get(f"{wanted['name']}-{kind}", {})
        ids = sorted(x["id"] for x in inside)
        same = exists and (exists["subnets"], exists["default"]) == (ids, exit_id)
        # A gateway that does not exist yet has no id.
        same = same and (bool(exit_id) or not needed)
        result.append(
            {
                "name": f"{wanted['name']}-{kind}",
                "kind": kind,
                "id": exists.get("id", ""),
                "subnets": [x["name"] for x in inside],
                "changed": bool(exists) and not same,
            }
        )
    return result


def tagged(wanted: Item, item: Item) -> bool:
    """Whether a resource has the common tags."""
    return set(wanted["tags"].items()) <= set(item["tags"].items())


def network_plan(wanted: Item, found: Item) -> Item:
    """The VPC and its resources."""
    vpc = first_id(found["vpcs"])
    # A gateway that was created but not attached is attached now.
    gateways = [x for x in found["gateways"] if vpc and x["vpc"] in (vpc, "")]
    gateways.sort(key=lambda x: not x["vpc"])
    network: Item = {
        "vpc": vpc,
        "vpc_done": bool(vpc) and found["vpcs"][0]["hostnames"],
        "cidr": wanted["vpc_cidr"],
        "subnets": joined(wanted["subnets"], found["subnets"]),
        "gateway": first_id(gateways),
        "gateway_done": bool(gateways) and bool(gateways[0]["vpc"]),
        "nat_wanted": wanted["nat"],
        "nat": first_id(found["nats"]),
        "groups": wanted["groups"],
        "group_ids": {group["name"]: group["id"] for group in found["groups"]},
    }
    compared = joined(wanted["groups"], found["groups"], "ingress", "egress")
    network["groups_done"] = all(x["id"] and not x["changed"] for x in compared)
    network["group_steps"] = compared
    network["tables"] = tables(wanted, found, network)
    exists = found["endpoints"][0] if found["endpoints"] else {"id": "", "tables": []}
    network["endpoint"] = exists["id"]
    ids = sorted(x["id"] for x in network["tables"])
    network["endpoint_done"] = bool(exists["id"]) and exists["tables"] == ids
    return network


def access_plan(wanted: Item, found: Item) -> Item:
    """IAM roles with their policies, instance profiles and the key pair."""
    roles, profiles = by_name(found["roles"]), by_name(found["profiles"])
    result = []
    for item in wanted["profiles"]:
        role, profile = roles.get(item["name"], {}), profiles.get(item["name"], {})
        bounded = not wanted["boundary"] or role.get("boundary") == wanted["boundary"]
        whole = bounded and bool(role) and not role["attached"]
        done = {
            "role_done": whole and tagged(wanted, role),
            "policy_done": role.get("policies") == {"millrace": item["policy"]},
            "profile_done": profile.get("roles") == [item["name"]] and tagged(wanted, profile),
        }
        result.append(item | done | {"role_exists": bool(role)})
    key_exists = wanted["key"] in [key["name"] for key in found["keys"]]
    return {
        "path": wanted["path"],
        "boundary": wanted["boundary"],
        "profiles": result,
        "key": wanted["key"],
        "key_exists": key_exists,
    }


def differences(host: Item, there: Item, tags: Item) -> list[str]:
    """The differences of an existing host that can be changed in place."""
    missing_tags = (tags | host["tags"]).items() - there["tags"].items()
    differs = {
        "security groups": host["groups"] != there["groups"],
        "instance profile": host["profile"] != there["profile"],
        "IMDSv2": (there["tokens"], there["hops"]) != ("required", 1),
        "termination protection": host["protected"] != there["protected"],
        "tags": bool(missing_tags),
    }
    return [name for name, true in differs.items() if true]


def hosts_plan(wanted: Item, found: Item, replace: str) -> list[Item]:
    """The hosts: for each its existing resources, and what has to be done."""
    there = by_name(found["instances"])
    volumes = {volume["host"]: volume for volume in found["volumes"]}
    result = []
    for host in wanted["hosts"]:
        exists = there.get(host["name"], {})
        volume = volumes.get(host["name"], {})
        plan = host | {
            "id": exists.get("id", ""),
            "image": exists.get("image", ""),
            "state": exists.get("state", "none"),
            "replace": bool(exists) and host["name"] == replace,
            "differences": differences(host, exists, wanted["tags"]) if exists else [],
            "volume": volume.get("id", ""),
            "attached": bool(exists) and volume.get("instance") == exists["id"],
        }
        result.append(plan)
    return result


def outdated(wanted: Item, found: Item) -> list[str]:
    """The resources with an EC2 id whose tags differ from the common ones.

    Hosts, and resources without such an id, are compared elsewhere.
    """
    kinds = ("vpcs", "subnets", "gateways", "tables", "endpoints", "nats", "addresses", "groups")
    items = [item for kind in (*kinds, "volumes", "keys") for item in found[kind]]
    return [item["id"] for item in items if not tagged(wanted, item)]


def strays(wanted: Item, found: Item) -> list[str]:
    """Existing resources that cost and are not declared: hosts, and an unneeded gateway."""
    names = [host["name"] for host in wanted["hosts"]]
    hosts = [item["name"] or item["id"] for item in found["instances"] if item["name"] not in names]
    gateways = [] if wanted["nat"] else [f"NAT gateway {item['id']}" for item in found["nats"]]
    return hosts + gateways


def steps(plan: Item) -> list[Item]:
    """Every resource with what would be done to it."""
    rows: list[Item] = []

    def row(kind: str, name: str, *, exists: bool, differs: str = "") -> None:
        what = (f"change: {differs}" if differs else "is there") if exists else "create"
        rows.append({"kind": kind, "name": name, "do": what})

    network, access, name = plan["network"], plan["access"], plan["name"]
    differs = "" if network["vpc_done"] else "names of hosts"
    row("VPC", f"{name} {network['cidr']}", exists=bool(network["vpc"]), differs=differs)
    for item in network["subnets"]:
        row("subnet", f"{item['name']} {item['cidr']}", exists=bool(item["id"]))
    differs = "" if network["gateway_done"] else "attach"
    row("internet gateway", name, exists=bool(network["gateway"]), differs=differs)
    if network["nat_wanted"]:
        row("NAT gateway", name, exists=bool(network["nat"]))
    for item in network["tables"]:
        row(
            "route table", item["name"], exists=bool(item["id"]), differs="routes" * item["changed"]
        )
    differs = "" if network["endpoint_done"] else "route tables"
    row("S3 endpoint", name, exists=bool(network["endpoint"]), differs=differs)
    for item in network["group_steps"]:
        row(
            "security group",
            item["name"],
            exists=bool(item["id"]),
            differs="rules" * item["changed"],
        )
    for item in access["profiles"]:
        parts = {"role": "role_done", "policy": "policy_done", "instance profile": "profile_done"}
        differs = ", ".join(part for part, done in parts.items() if not item[done])
        row("IAM role", item["name"], exists=item["role_exists"], differs=differs)
    row("key pair", access["key"], exists=access["key_exists"])
    kept = [("image repository", plan["repository"])]
    kept += [("bucket", item) for item in plan["buckets"]]
    for kind, item in kept:
        differs = "" if item["done"] else "settings, tags"
        row(kind, item["name"], exists=item["exists"], differs=differs)
    database = plan["database"]
    if database["name"]:
        differs = "" if database["done"] else "tags"
        row("Glue database", database["name"], exists=database["exists"], differs=differs)
    budget = plan["budget"]
    if budget["usd"] or budget["exists"]:
        differs = "" if budget["done"] else "limit, mail" if budget["usd"] else "remove"
        row("budget", budget["name"], exists=budget["exists"], differs=differs)
    if plan["retag"]:
        row("tags", f"of {len(plan['retag'])} resources", exists=True, differs="tags")
    for host in plan["hosts"]:
        if host["data_gb"]:
            attach = "" if host["attached"] else "attach"
            label = f"{host['name']} {host['data_gb']} GB"
            row("data volume", label, exists=bool(host["volume"]), differs=attach)
        change = "replace" if host["replace"] else ", ".join(host["differences"])
        change = change or ("start" if host["state"] in ("stopped", "stopping") else "")
        row("host", f"{host['name']} {host['type']}", exists=bool(host["id"]), differs=change)
    return rows


def bucket_plan(wanted: Item, item: Item, found: Item) -> Item:
    """A bucket: whether it exists and is complete."""
    exists = by_name(found["buckets"]).get(item["name"])
    done = bool(exists) and tagged(wanted, exists) and item["rule"] in exists["rules"]
    same = bool(exists) and exists["versioned"] == item["versioned"]
    return item | {"exists": bool(exists), "done": done and same}


def stores(wanted: Item, found: Item) -> Item:
    """The repository, buckets, the archive's database and the budget: whether each is complete."""
    repository = by_name(found["repositories"]).get(wanted["repository"])
    database = by_name(found["databases"]).get(wanted["database"])
    budget, exists = wanted["budget"], by_name(found["budgets"]).get(wanted["budget"]["name"])
    same = exists and exists["usd"] == budget["usd"]
    same = same and exists["email"] == budget["email"]
    return {
        "repository": {
            "name": wanted["repository"],
            "exists": bool(repository),
            "done": bool(repository) and tagged(wanted, repository),
        },
        "buckets": [bucket_plan(wanted, item, found) for item in wanted["buckets"]],
        "database": {
            "name": wanted["database"],
            "exists": bool(database),
            "done": not wanted["database"] or (bool(database) and tagged(wanted, database)),
        },
        "budget": budget
        | {
            "exists": bool(exists),
            "done": bool(same) if budget["usd"] else not exists,
        },
    }


def aws_plan(wanted: Item, found: Item, replace: str = "") -> Item:
    """Compare the declared resources with the existing ones."""
    plan: Item = {
        "name": wanted["name"],
        "region": wanted["region"],
        "tags": wanted["tags"],
        "network": network_plan(wanted, found),
        "access": access_plan(wanted, found),
        **stores(wanted, found),
        "hosts": hosts_plan(wanted, found, replace),
        "retag": outdated(wanted, found),
        "strays": strays(wanted, found),
    }
    plan["steps"] = steps(plan)
    plan["todo"] = [
        f"{step['kind']} {step['name']}: {step['do']}"
        for step in plan["steps"]
        if step["do"] != "is there"
    ]
    return plan


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, Any]:
        """Return the filter by name."""
        return {"aws_plan": aws_plan}
