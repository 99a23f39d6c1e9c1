#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: the account's vCPU quota in a region, and the instances that use it."""

from __future__ import annotations

import contextlib
from typing import Any

with contextlib.suppress(ImportError):  # AnsibleAWSModule says what is missing
    from botocore.config import Config

from ansible.module_utils import aws_shapes as shapes
from ansible.module_utils.causes import told
from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule

DOCUMENTATION = r"""
module: aws_vcpus_info
short_description: The account's vCPU quota in a region, and the instances that use it
description:
  - Queries Service Quotas for the quota of standard on-demand instances.
  - Queries EC2 for all such instances of the account that run.
  - Changes nothing.
options:
  types:
    description: Instance types of the hosts to create.
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
- name: Query the vCPU quota
  aws_vcpus_info:
    region: us-east-1
    types: [t3.small]
"""

RETURN = r"""
found:
  description: >-
    The quota in vCPUs; the running instances (id and type); the vCPUs of each type that is
    named or in use. Only instances and types that count towards the quota.
  type: dict
  returned: always
"""

# Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances.
QUOTA = {"ServiceCode": "ec2", "QuotaCode": "L-1216C47A"}
RUNNING = [{"Name": "instance-state-name", "Values": ["pending", "running"]}]


def every(client: Any, operation: str, key: str, filters: list[Any]) -> list[dict[str, Any]]:
    """All pages of a result."""
    pages = client.get_paginator(operation).paginate(Filters=filters)
    return [item for page in pages for item in page[key]]


def look(quotas: Any, ec2: Any, types: list[str]) -> dict[str, Any]:
    """Query the quota first: without it the rest is useless."""
    quota = quotas.get_service_quota(**QUOTA)["Quota"]["Value"]
    reservations = every(ec2, "describe_instances", "Reservations", RUNNING)
    found = [item for reservation in reservations for item in reservation["Instances"]]
    running = [shapes.pick(x, id="InstanceId", type="InstanceType") for x in found if counts(x)]
    named = {kind for kind in types if shapes.standard(kind)} | {x["type"] for x in running}
    # An unknown type is no error here: launching it reports it.
    filters = [{"Name": "instance-type", "Values": sorted(named)}]
    described = every(ec2, "describe_instance_types", "InstanceTypes", filters) if named else []
    vcpus = {x["InstanceType"]: x["VCpuInfo"]["DefaultVCpus"] for x in described}
    return {"quota": quota, "running": running, "vcpus": vcpus}


def counts(item: dict[str, Any]) -> bool:
    """Whether an instance counts towards the quota: spot and dedicated hosts have their own."""
    on_demand = "InstanceLifecycle" not in item
    dedicated_host = item["Placement"].get("Tenancy") == "host"
    return on_demand and not dedicated_host and shapes.standard(item["InstanceType"])


def main() -> None:
    """Run the module."""
    module = AnsibleAWSModule(
        argument_spec={"types": {"type": "list", "elements": "str", "required": True}},
        supports_check_mode=True,
    )
    # Nothing depends on Service Quotas, so an unreachable service is not waited for long.
    config = Config(connect_timeout=5, read_timeout=10, retries={"total_max_attempts": 2})
    with told(module, "AWS did not say how many vCPUs are left"):
        quotas = module.client("service-quotas", config=config)
        found = look(quotas, module.client("ec2"), module.params["types"])
    module.exit_json(changed=False, found=found)


if __name__ == "__main__":
    main()
