#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: tag an image repository of ECR, which community.aws.ecs_ecr cannot do."""

from __future__ import annotations

from ansible.module_utils.causes import told
from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule

DOCUMENTATION = r"""
module: ecr_tags
short_description: Tag an image repository of ECR
description:
  - Adds tags and changes their values. Other tags are kept.
options:
  arn:
    description: ARN of the repository.
    type: str
    required: true
  tags:
    description: Tags that it must have.
    type: dict
    required: true
extends_documentation_fragment:
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
  - millrace
"""

EXAMPLES = r"""
- name: Tag the repository
  ecr_tags:
    arn: arn:aws:ecr:us-east-1:123456789012:repository/millrace/millrace
    tags: {Owner: me}
"""

RETURN = r""" # """


def main() -> None:
    """Run the module."""
    module = AnsibleAWSModule(
        argument_spec={
            "arn": {"type": "str", "required": True},
            "tags": {"type": "dict", "required": True},
        },
        supports_check_mode=True,
    )
    arn, wanted = module.params["arn"], {k: str(v) for k, v in module.params["tags"].items()}
    client = module.client("ecr")
    with told(module, f"The tags of {arn} could not be set"):
        found = client.list_tags_for_resource(resourceArn=arn)["tags"]
        missing = wanted.items() - {tag["Key"]: tag["Value"] for tag in found}.items()
        if missing and not module.check_mode:
            tags = [{"Key": key, "Value": value} for key, value in sorted(missing)]
            client.tag_resource(resourceArn=arn, tags=tags)
    module.exit_json(changed=bool(missing))


if __name__ == "__main__":
    main()
