# SPDX-License-Identifier: Apache-2.0
"""The declared resources of an environment on AWS, computed only from the inventory.

`settings` are the inventory's variables without their prefix, as the role aws lists them.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from typing import Any

Item = dict[str, Any]
EVERYWHERE = "0.0.0.0/0"
LONGEST_NAME = 64
# Types with CPU credits. Other types cannot be launched with this option.
BURSTABLE = re.compile(r"t(2|3|3a|4g)\.")
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": "ec2.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
    ],
}
# What the archiver does with its tables' files, and with the tables: it lists, writes, commits and
# maintains them, and can neither make nor remove a table's database, nor remove a table.
ARCHIVE_FILES = ["s3:AbortMultipartUpload", "s3:DeleteObject", "s3:GetObject", "s3:PutObject"]
ARCHIVE_TABLES = ["glue:CreateTable", "glue:GetDatabase", "glue:GetTable", "glue:UpdateTable"]
# Permissions of the Systems Manager agent. Amazon's own policy would allow reading every parameter.
AGENT = [
    "ssm:UpdateInstanceInformation",
    "ssmmessages:CreateControlChannel",
    "ssmmessages:CreateDataChannel",
    "ssmmessages:OpenControlChannel",
    "ssmmessages:OpenDataChannel",
    "ec2messages:AcknowledgeMessage",
    "ec2messages:DeleteMessage",
    "ec2messages:FailMessage",
    "ec2messages:GetEndpoint",
    "ec2messages:GetMessages",
    "ec2messages:SendReply",
]


def bounded(name: str) -> str:
    """A name short enough for IAM: the end of a long one is replaced by a digest of the whole."""
    if len(name) <= LONGEST_NAME:
        return name
    return f"{name[: LONGEST_NAME - 9]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def common_tags(settings: Item) -> Item:
    """The tags of every resource: its owner and expiry."""
    return {
        "Project": "millrace",
        "Environment": settings["instance"],
        "Owner": settings["owner"],
        "ExpiresAt": str(settings["expires_at"]),
    }


def subnets(settings: Item) -> list[Item]:
    """A public and a private subnet for each zone, each a 256th of the VPC's range."""
    vpc = ipaddress.ip_network(settings["vpc_cidr"])
    ranges = list(vpc.subnets(prefixlen_diff=8))
    found = []
    for place, zone in enumerate(settings["zones"]):
        for kind, offset in (("public", 0), ("private", 128)):
            name = f"{settings['instance']}-{kind}-{zone}"
            full = f"{settings['region']}{zone}"
            cidr = str(ranges[offset + place])
            found.append({"name": name, "kind": kind, "zone": full, "cidr": cidr})
    return found


def security_groups(settings: Item) -> list[Item]:
    """One group per role that some host has, with its rows of the ports table."""
    used = {role for host in settings["fleet"] for role in host["roles"]}
    prefix = settings["instance"]
    rules: dict[str, tuple[set[str], set[str]]] = {role: (set(), set()) for role in used}
    for role in used:
        rules[role][1].update(f"tcp {p}-{p} {EVERYWHERE}" for p in settings["outbound_ports"])
    for row in settings["ports"]:
        first, _, last = str(row["port"]).partition("-")
        ports = f"tcp {first}-{last or first}"
        if settings["connection"] == "ssm" and first == "22":
            continue
        for to in used if row["to"] == "all" else used & {row["to"]}:
            if "admin" in row["from"]:
                rules[to][0].add(f"{ports} {settings['admin_cidr']}")
            for source in used & set(row["from"]):
                rules[to][0].add(f"{ports} {prefix}-{source}")
                rules[source][1].add(f"{ports} {prefix}-{to}")
    return [
        {
            "name": f"{prefix}-{role}",
            "description": f"Ports of {role}",
            "ingress": sorted(rules[role][0]),
            "egress": sorted(rules[role][1]),
            "tags": {**common_tags(settings), "Name": f"{prefix}-{role}", "Role": role},
        }
        for role in sorted(used)
    ]


def bucket(settings: Item, account: str) -> str:
    """The name of the environment's bucket. The archive's has one more word."""
    return f"{settings['instance']}-{account}-{settings['region']}"


def archive_bucket(settings: Item, account: str) -> str:
    """The name of the archive's bucket."""
    return f"{bucket(settings, account)}-archive"


def database(settings: Item) -> str:
    """The name of the archive's database in Glue, whose names have no hyphens."""
    return str(settings["instance"]).replace("-", "_")


def has_archive(settings: Item) -> bool:
    """Whether the archive of the fleet is in S3 and Glue."""
    roles = {role for host in settings["fleet"] for role in host["roles"]}
    return settings["archive_store"] == "s3" and "archiver" in roles


def allow(actions: list[str], resources: list[str] | str, **more: Any) -> Item:
    """A statement that allows actions."""
    return {"Effect": "Allow", "Action": actions, "Resource": resources, **more}


def archive_policy(settings: Item, account: str) -> list[Item]:
    """The permissions of the archiver's host: exactly the archive's bucket and database."""
    glue = f"arn:aws:glue:{settings['region']}:{account}"
    own, name = f"arn:aws:s3:::{archive_bucket(settings, account)}", database(settings)
    return [
        allow(["s3:ListBucket"], [own]),
        allow(ARCHIVE_FILES, [f"{own}/*"]),
        allow(
            ARCHIVE_TABLES, [f"{glue}:catalog", f"{glue}:database/{name}", f"{glue}:table/{name}/*"]
        ),
    ]


def policy(settings: Item, account: str, roles: list[str]) -> Item:
    """The permissions of a host with these roles: its secrets, its part of the bucket, images."""
    region, instance = settings["region"], settings["instance"]
    here = f"{region}:{account}"
    own_bucket = f"arn:aws:s3:::{bucket(settings, account)}"
    own = [f"{instance}/{role}/*" for role in roles]
    prefixes = [f"{role}/*" for role in roles]
    secrets = [f"arn:aws:secretsmanager:{here}:secret:{path}" for path in own]
    parameters = [f"arn:aws:ssm:{here}:parameter/{path}" for path in own]
    listing = {"StringLike": {"s3:prefix": prefixes}}
    statements = [
        allow(["secretsmanager:GetSecretValue"], secrets),
        allow(["ssm:GetParameter", "ssm:GetParameters", "ssm:GetParametersByPath"], parameters),
        allow(["s3:ListBucket"], [own_bucket], Condition=listing),
        allow(["s3:GetObject", "s3:PutObject"], [f"{own_bucket}/{prefix}" for prefix in prefixes]),
        allow(["ecr:GetAuthorizationToken"], "*"),
        allow(
            ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
            [f"arn:aws:ecr:{here}:repository/{instance}/millrace"],
        ),
    ]
    if settings["connection"] == "ssm":
        statements.append(allow(AGENT, "*"))
    if settings["archive_store"] == "s3" and "archiver" in roles:
        statements += archive_policy(settings, account)
    return {"Version": "2012-10-17", "Statement": statements}


def buckets(settings: Item, account: str) -> list[Item]:
    """The environment's bucket and, if there is an archive, the archive's.

    The rule of a bucket's lifecycle is what is made last.
    """
    found = [{"name": bucket(settings, account), "role": "bucket", "rule": "passed"}]
    if has_archive(settings):
        name = archive_bucket(settings, account)
        found.append({"name": name, "role": "archive", "rule": "archive"})
    return [item | {"versioned": item["role"] == "archive"} for item in found]


def profile_name(settings: Item, roles: list[str]) -> str:
    """The IAM role of hosts with these roles; its name has the region, because IAM is global."""
    return bounded("-".join([settings["instance"], settings["region"], *sorted(roles)]))


def profiles(settings: Item, account: str) -> list[Item]:
    """One IAM role and instance profile for each set of roles that some host has."""
    sets = sorted({tuple(sorted(host["roles"])) for host in settings["fleet"]})
    return [
        {
            "name": profile_name(settings, list(roles)),
            "roles": "+".join(roles),
            "policy": policy(settings, account, list(roles)),
            "trust": TRUST,
        }
        for roles in sets
    ]


def hosts(settings: Item) -> list[Item]:
    """The hosts, with all properties that follow from the inventory."""
    prefix = settings["instance"]
    return [
        {
            "name": host["name"],
            "roles": "+".join(sorted(host["roles"])),
            "type": host["type"],
            "credits": settings["cpu_credits"] if BURSTABLE.match(host["type"]) else "",
            "subnet": f"{prefix}-{host.get('subnet', 'public')}-"
            f"{host.get('zone', settings['zones'][0])}",
            "zone": f"{settings['region']}{host.get('zone', settings['zones'][0])}",
            "public": host.get("subnet", "public") == "public",
            "root_gb": host.get("root_gb", 20),
            "data_gb": host.get("data_gb", 0),
            "protected": bool(host.get("data_gb")),
            "groups": sorted(f"{prefix}-{role}" for role in host["roles"]),
            "profile": profile_name(settings, host["roles"]),
            "tags": {
                "Name": f"{prefix}-{host['name']}",
                "Host": host["name"],
                "Role": "+".join(sorted(host["roles"])),
                "NodeId": str(host.get("node_id", 0)),
            },
        }
        for host in settings["fleet"]
    ]


def aws_wanted(settings: Item, account: str) -> Item:
    """All declared resources of the environment."""
    instance, boundary = settings["instance"], settings["permissions_boundary"]
    return {
        "name": instance,
        "region": settings["region"],
        "tags": common_tags(settings),
        "vpc_cidr": settings["vpc_cidr"],
        "subnets": subnets(settings),
        "nat": any(host.get("subnet") == "private" for host in settings["fleet"]),
        "groups": security_groups(settings),
        "path": f"/millrace/{settings['region']}/{instance}/",
        "boundary": f"arn:aws:iam::{account}:policy/{boundary}" if boundary else "",
        "profiles": profiles(settings, account),
        "key": instance,
        "repository": f"{instance}/millrace",
        "buckets": buckets(settings, account),
        "database": database(settings) if has_archive(settings) else "",
        "budget": {
            "name": f"{instance}-{settings['region']}",
            "usd": settings["budget_usd"],
            "email": settings["budget_email"],
        },
        "hosts": hosts(settings),
    }


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, Any]:
        """Return the filter by name."""
        return {"aws_wanted": aws_wanted}
