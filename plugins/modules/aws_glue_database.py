#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: a database of AWS Glue. No maintained module handles databases."""

from __future__ import annotations

from typing import Any

from ansible.module_utils import aws_shapes as shapes
from ansible.module_utils.causes import told
from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule

DOCUMENTATION = r"""
module: aws_glue_database
short_description: A database of AWS Glue
description:
  - Manages a database of the account's data catalog. A database that is removed goes with what the
    catalog says of its tables; the tables' files stay.
options:
  name:
    description: Name of the database.
    type: str
    required: true
  state:
    description: Whether the database exists.
    type: str
    choices: [present, absent]
    default: present
  tags:
    description: Tags of the database. Others stay.
    type: dict
    default: {}
  owned_by:
    description: Tags by which an existing database is recognised; another one is not touched.
    type: dict
    required: true
extends_documentation_fragment:
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
  - millrace
"""

EXAMPLES = r"""
- name: Create the database
  aws_glue_database:
    name: example
    owned_by: {Project: example}
    tags: {Project: example, Owner: me}
"""

RETURN = r""" # """


class NotOursError(Exception):
    """A database of this name belongs to somebody else."""


def ensure(module: Any) -> bool:
    """Create, tag or remove the database; return whether anything changed."""
    params, client = module.params, module.client("glue")
    name, account = params["name"], module.client("sts").get_caller_identity()["Account"]
    found = shapes.glue_tags(client, module.region, account, name)
    if found is not None and not params["owned_by"].items() <= found.items():
        raise NotOursError(
            f"Glue has a database {name} that does not belong to this environment (its tags say "
            "so): give the environment another name, or remove that database"
        )
    present = params["state"] == "present"
    tags = {key: str(value) for key, value in params["tags"].items()}
    if present and found is not None and tags.items() <= found.items():
        return False
    if not present and found is None:
        return False
    if module.check_mode:
        return True
    if not present:
        client.delete_database(Name=name)
    elif found is None:
        client.create_database(DatabaseInput={"Name": name}, Tags=tags)
    else:
        arn = f"arn:aws:glue:{module.region}:{account}:database/{name}"
        client.tag_resource(ResourceArn=arn, TagsToAdd=tags)
    return True


def main() -> None:
    """Run the module."""
    module = AnsibleAWSModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "tags": {"type": "dict", "default": {}},
            "owned_by": {"type": "dict", "required": True},
        },
        supports_check_mode=True,
    )
    with told(module, f"The database {module.params['name']} of Glue could not be set"):
        try:
            changed = ensure(module)
        except NotOursError as error:
            module.fail_json(msg=str(error))
    module.exit_json(changed=changed)


if __name__ == "__main__":
    main()
