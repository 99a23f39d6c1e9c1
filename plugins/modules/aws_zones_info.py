#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: a region's availability zones for an account, and the types they offer."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.causes import told
from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule

DOCUMENTATION = r"""
module: aws_zones_info
short_description: A region's availability zones for an account, and the types they offer
description:
  - Names zones by their letter. An account may lack some of them.
  - Changes nothing.
options:
  types:
    description: Types of instances.
    type: list
    elements: str
    required: true
extends_documentation_fragment:
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
  - millrace
"""

EXAMPLES = r"""
- name: Query the availability zones
  aws_zones_info:
    region: us-east-1
    types: [t3.small]
"""

RETURN = r"""
zones:
  description: Each available zone, with the requested types that it offers.
  type: dict
  returned: always
"""


def look(ec2: Any, region: str, types: list[str]) -> dict[str, list[str]]:
    """Query the zones, then the types that they offer; unknown types are not offered."""
    # Exclude local zones and wavelength zones.
    plain = [
        {"Name": "zone-type", "Values": ["availability-zone"]},
        {"Name": "state", "Values": ["available"]},
    ]
    listed = ec2.describe_availability_zones(Filters=plain)["AvailabilityZones"]
    zones: dict[str, list[str]] = {
        zone["ZoneName"].removeprefix(region): []
        for zone in sorted(listed, key=lambda zone: str(zone["ZoneName"]))
    }
    pages = ec2.get_paginator("describe_instance_type_offerings").paginate(
        LocationType="availability-zone",
        Filters=[{"Name": "instance-type", "Values": sorted(set(types))}],
    )
    for offer in (item for page in pages for item in page["InstanceTypeOfferings"]):
        letter = offer["Location"].removeprefix(region)
        if letter in zones:
            zones[letter].append(offer["InstanceType"])
    return {letter: sorted(offered) for letter, offered in zones.items()}


def main() -> None:
    """Run the module."""
    module = AnsibleAWSModule(
        argument_spec={"types": {"type": "list", "elements": "str", "required": True}},
        supports_check_mode=True,
    )
    with told(module, "AWS did not say which zones there are"):
        zones = look(module.client("ec2"), module.region, module.params["types"])
    module.exit_json(changed=False, zones=zones)


if __name__ == "__main__":
    main()
