#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: the tags of the environments in a region."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ansible.module_utils import aws_shapes as shapes
from ansible.module_utils.causes import told
from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule

DOCUMENTATION = r"""
module: aws_environments_info
short_description: The tags of the environments in a region
description:
  - Queries key pairs, which are created first, VPCs, hosts, and volumes, which may be left over.
  - Changes nothing.
options: {}
extends_documentation_fragment:
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
  - millrace
"""

EXAMPLES = r"""
- name: Find the environments
  aws_environments_info:
    region: us-east-1
"""

RETURN = r"""
parts:
  description: The tags of each part of an environment.
  type: list
  returned: always
"""

MINE = [{"Name": "tag:Project", "Values": ["millrace"]}]
KINDS = {
    "describe_key_pairs": "KeyPairs",
    "describe_vpcs": "Vpcs",
    "describe_instances": "Reservations",
    "describe_volumes": "Volumes",
}


def parts(client: Any) -> list[dict[str, str]]:
    """Query all kinds at once; terminated instances do not count."""

    def asked(operation: str) -> list[dict[str, Any]]:
        if client.can_paginate(operation):
            pages = list(client.get_paginator(operation).paginate(Filters=MINE))
        else:
            pages = [getattr(client, operation)(Filters=MINE)]
        found = [item for page in pages for item in page[KINDS[operation]]]
        return [part for item in found for part in item.get("Instances", [item])]

    with ThreadPoolExecutor(len(KINDS)) as pool:
        found = [item for items in pool.map(asked, KINDS) for item in items]
    alive = [item for item in found if shapes.state(item) not in shapes.GONE]
    # Root volumes are deleted with their hosts, and have the tags of their creation.
    kept = [x for x in alive if "VolumeId" not in x or shapes.tags(x).get("Role") == "data"]
    return [shapes.tags(item) for item in kept]


def main() -> None:
    """Run the module."""
    module = AnsibleAWSModule(argument_spec={}, supports_check_mode=True)
    with told(module, "AWS did not list the resources"):
        found = parts(module.client("ec2"))
    module.exit_json(changed=False, parts=found)


if __name__ == "__main__":
    main()
