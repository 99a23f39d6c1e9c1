# SPDX-License-Identifier: Apache-2.0
"""AWS's answers, in the structure of the declared resources."""

from __future__ import annotations

import re
from typing import Any

Item = dict[str, Any]
GONE = ("terminated", "shutting-down", "deleted", "deleting")
# Inf, Trn, DL, HPC and Mac begin with one of these letters but have their own quotas.
STANDARD = re.compile(r"(?!inf|trn|dl|hpc|mac)[acdhimrtz]")


def tags(item: Item) -> dict[str, str]:
    """Tags as a dictionary."""
    return {tag["Key"]: tag["Value"] for tag in item.get("Tags") or []}


def state(item: Item) -> str:
    """The state of a resource, if it has one; an instance's is nested in the answer."""
    found = item.get("State", "")
    return str(found["Name"] if isinstance(found, dict) else found).lower()


def pick(item: Item, **keys: str) -> Item:
    """The named parts of an answer, and its tags."""
    return {name: item[key] for name, key in keys.items()} | {"tags": tags(item)}


def rules(permissions: list[Item], names: dict[str, str]) -> list[str]:
    """Write each rule of a security group as 'protocol first-last source', sorted."""
    found = []
    for entry in permissions:
        # A rule for all protocols names no ports.
        ports = f"{entry['IpProtocol']} {entry.get('FromPort', -1)}-{entry.get('ToPort', -1)}"
        groups = [pair["GroupId"] for pair in entry.get("UserIdGroupPairs", [])]
        sources = [item["CidrIp"] for item in entry.get("IpRanges", [])]
        sources += [item["CidrIpv6"] for item in entry.get("Ipv6Ranges", [])]
        sources += [item["PrefixListId"] for item in entry.get("PrefixListIds", [])]
        sources += [names.get(group, group) for group in groups]
        found += [f"{ports} {source}" for source in sources]
    return sorted(found)


def group(item: Item, names: dict[str, str]) -> Item:
    """A security group with its rules."""
    keys = {"id": "GroupId", "name": "GroupName", "vpc": "VpcId", "description": "Description"}
    return pick(item, **keys) | {
        "ingress": rules(item["IpPermissions"], names),
        "egress": rules(item["IpPermissionsEgress"], names),
    }


def is_main(table: Item) -> bool:
    """Whether a route table is the VPC's main one, which is created and deleted with it."""
    return any(association.get("Main") for association in table["Associations"])


def route_table(table: Item) -> Item:
    """A route table with its subnets and the target of its default route."""
    default = (x for x in table["Routes"] if x.get("DestinationCidrBlock") == "0.0.0.0/0")
    route = next(default, {})
    return pick(table, id="RouteTableId", vpc="VpcId") | {
        "subnets": sorted(x["SubnetId"] for x in table["Associations"] if "SubnetId" in x),
        "default": route.get("GatewayId") or route.get("NatGatewayId") or "",
    }


def volume(item: Item) -> Item:
    """A data volume with the instance that it is attached to."""
    picked = pick(item, id="VolumeId", zone="AvailabilityZone", size="Size", encrypted="Encrypted")
    return picked | {
        "instance": next((x["InstanceId"] for x in item["Attachments"]), ""),
        "host": picked["tags"].get("Host", ""),
    }


def root_volume(item: Item) -> str:
    """Id of an instance's root volume."""
    disks = {x["DeviceName"]: x["Ebs"]["VolumeId"] for x in item.get("BlockDeviceMappings", [])}
    return str(disks.get(item.get("RootDeviceName", ""), ""))


def standard(kind: str) -> bool:
    """Whether the quota of standard instances counts this type."""
    return bool(STANDARD.match(kind))


def emails(client: Any, **budget: str) -> list[str]:
    """The recipients of a budget's mails, each address once."""
    found = client.describe_notifications_for_budget(**budget).get("Notifications", [])
    asked = [
        client.describe_subscribers_for_notification(**budget, Notification=item) for item in found
    ]
    return sorted({x["Address"] for answer in asked for x in answer["Subscribers"]})


def glue_tags(client: Any, region: str, account: str, database: str) -> dict[str, str] | None:
    """The tags of a database of Glue; None if there is no such database."""
    try:
        client.get_database(Name=database)
    except client.exceptions.EntityNotFoundException:
        return None
    arn = f"arn:aws:glue:{region}:{account}:database/{database}"
    return dict(client.get_tags(ResourceArn=arn).get("Tags", {}))


def instance(item: Item, *, protected: bool) -> Item:
    """An instance of EC2."""
    metadata = item.get("MetadataOptions", {})
    picked = pick(item, id="InstanceId", type="InstanceType", image="ImageId")
    return picked | {
        "name": picked["tags"].get("Host", ""),
        "state": item["State"]["Name"],
        "subnet": item.get("SubnetId", ""),
        "zone": item["Placement"]["AvailabilityZone"],
        "private_address": item.get("PrivateIpAddress", ""),
        "public_address": item.get("PublicIpAddress", ""),
        "profile": item.get("IamInstanceProfile", {}).get("Arn", "").split("/")[-1],
        "groups": sorted(group["GroupName"] for group in item.get("SecurityGroups", [])),
        "tokens": metadata.get("HttpTokens", ""),
        "root": root_volume(item),
        "hops": metadata.get("HttpPutResponseHopLimit", 0),
        "protected": protected,
    }
