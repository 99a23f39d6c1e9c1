#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: manage security groups of a VPC, with exactly the declared rules."""

from __future__ import annotations

import re
from typing import Any

from ansible.module_utils import aws_shapes as shapes
from ansible.module_utils.causes import told
from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule

DOCUMENTATION = r"""
module: aws_security_groups
short_description: Manage security groups of a VPC, with exactly the declared rules
description:
  - Groups refer to each other in their rules. The module creates all groups, then their rules, in a
    tenth of the time of one task per group. It empties all groups before it deletes the first.
  - Other groups of the VPC are left alone.
options:
  vpc_id:
    description: The VPC.
    type: str
    required: true
  state:
    description: Whether the groups exist.
    type: str
    choices: [present, absent]
    default: present
  groups:
    description: The groups.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the group.
        type: str
        required: true
      description:
        description: Purpose of the group. It cannot be changed later.
        type: str
        default: Millrace
      ingress:
        description: Allowed incoming traffic, as 'tcp 9092-9092 10.0.0.0/8', or a group's name.
        type: list
        elements: str
        default: []
      egress:
        description: Allowed outgoing traffic, in the same form.
        type: list
        elements: str
        default: []
      tags:
        description: Tags of the group.
        type: dict
        default: {}
extends_documentation_fragment:
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
  - millrace
"""

EXAMPLES = r"""
- name: Let clients connect to the broker
  aws_security_groups:
    vpc_id: vpc-1
    groups:
      - {name: client, egress: [tcp 9092-9092 broker]}
      - {name: broker, ingress: [tcp 9092-9092 client]}
"""

RETURN = r"""
ids:
  description: Ids of the groups by name.
  returned: when state is present
  type: dict
"""

Item = dict[str, Any]


def permission(line: str, ids: dict[str, str]) -> Item:
    """A rule as AWS expects it."""
    protocol, ports, peer = line.split(" ")
    first, last = re.fullmatch(r"(-?\d+)-(-?\d+)", ports).groups()  # type: ignore[union-attr]
    rule: Item = {"IpProtocol": protocol}
    if protocol != "-1":
        rule |= {"FromPort": int(first), "ToPort": int(last)}
    if peer in ids or peer.startswith("sg-"):
        rule["UserIdGroupPairs"] = [{"GroupId": ids.get(peer, peer)}]
    elif peer.startswith("pl-"):
        rule["PrefixListIds"] = [{"PrefixListId": peer}]
    elif ":" in peer:
        rule["Ipv6Ranges"] = [{"CidrIpv6": peer}]
    else:
        rule["IpRanges"] = [{"CidrIp": peer}]
    return rule


class Groups:
    """The groups of one VPC."""

    def __init__(self, module: Any) -> None:
        """Read the existing groups."""
        self.client, self.dry = module.client("ec2"), module.check_mode
        self.vpc: str = module.params["vpc_id"]
        self.wanted: list[Item] = module.params["groups"]
        filters = [{"Name": "vpc-id", "Values": [self.vpc]}]
        pages = self.client.get_paginator("describe_security_groups").paginate(Filters=filters)
        listed = [group for page in pages for group in page["SecurityGroups"]]
        self.ids = {group["GroupName"]: group["GroupId"] for group in listed}
        names = {group["GroupId"]: group["GroupName"] for group in listed}
        self.found = {group["GroupName"]: shapes.group(group, names) for group in listed}

    def make(self, group: Item) -> None:
        """Create a missing group; AWS allows all outgoing traffic of a new one."""
        tags = [{"Key": key, "Value": str(value)} for key, value in group["tags"].items()]
        made = self.client.create_security_group(
            GroupName=group["name"],
            Description=group["description"],
            VpcId=self.vpc,
            TagSpecifications=[{"ResourceType": "security-group", "Tags": tags}],
        )
        self.ids[group["name"]] = made["GroupId"]
        opened = {"ingress": [], "egress": ["-1 -1--1 0.0.0.0/0"], "tags": group["tags"]}
        self.found[group["name"]] = opened

    def correct(self, group: Item, way: str) -> None:
        """Revoke the rules that are not declared, then add the missing ones."""
        present, wanted = set(self.found[group["name"]][way]), set(group[way])
        calls = (("revoke", present - wanted), ("authorize", wanted - present))
        for verb, lines in calls:
            if lines:
                getattr(self.client, f"{verb}_security_group_{way}")(
                    GroupId=self.ids[group["name"]],
                    IpPermissions=[permission(line, self.ids) for line in sorted(lines)],
                )

    def differ(self, group: Item) -> bool:
        """Whether a group differs from its declaration."""
        present = self.found.get(group["name"])
        return present is None or any(
            present[way] != sorted(group[way]) for way in ("ingress", "egress")
        )

    def ensure(self) -> bool:
        """Create or correct the groups; return whether anything changed."""
        due = [group for group in self.wanted if self.differ(group)]
        if self.dry or not due:
            return bool(due)
        for group in due:
            if group["name"] not in self.found:
                self.make(group)
        for group in due:
            for way in ("ingress", "egress"):
                self.correct(group, way)
        return True

    def remove(self) -> bool:
        """Empty all groups, then delete them; return whether there were any."""
        due = [group for group in self.wanted if group["name"] in self.found]
        if self.dry or not due:
            return bool(due)
        for group in due:
            for way in ("ingress", "egress"):
                self.correct({"name": group["name"], way: []}, way)
        for group in due:
            self.client.delete_security_group(GroupId=self.ids[group["name"]])
        return True


def main() -> None:
    """Run the module."""
    lines: Item = {"type": "list", "elements": "str", "default": []}
    group = {
        "name": {"type": "str", "required": True},
        "description": {"type": "str", "default": "Millrace"},
        "ingress": lines,
        "egress": lines,
        "tags": {"type": "dict", "default": {}},
    }
    module = AnsibleAWSModule(
        argument_spec={
            "vpc_id": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "groups": {"type": "list", "elements": "dict", "required": True, "options": group},
        },
        supports_check_mode=True,
    )
    with told(module, "The security groups could not be set"):
        groups = Groups(module)
        changed = groups.ensure() if module.params["state"] == "present" else groups.remove()
    module.exit_json(changed=changed, ids=groups.ids)


if __name__ == "__main__":
    main()
