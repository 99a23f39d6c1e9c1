#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: mail when a month's cost exceeds a limit. No collection has a module for it."""

from __future__ import annotations

from typing import Any

from ansible.module_utils import aws_shapes as shapes
from ansible.module_utils.causes import told
from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule

DOCUMENTATION = r"""
module: aws_budget
short_description: Mail when a month's cost exceeds a limit
description:
  - Manages a monthly budget of the account; AWS sends mail at 80 and at 100 percent.
options:
  name:
    description: Name of the budget.
    type: str
    required: true
  state:
    description: Whether the budget exists.
    type: str
    choices: [present, absent]
    default: present
  usd:
    description: Limit in US dollars.
    type: float
  email:
    description: Recipient of the mail.
    type: str
extends_documentation_fragment:
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
  - millrace
"""

EXAMPLES = r"""
- name: Create the budget
  aws_budget:
    name: millrace
    usd: 100
    email: me@example.com
"""

RETURN = r""" # """

SHARES = (80, 100)


def budget(params: dict[str, Any]) -> dict[str, Any]:
    """The budget as AWS expects it."""
    return {
        "BudgetName": params["name"],
        "BudgetLimit": {"Amount": str(params["usd"]), "Unit": "USD"},
        "TimeUnit": "MONTHLY",
        "BudgetType": "COST",
    }


def mails(params: dict[str, Any]) -> list[dict[str, Any]]:
    """The notifications, with their recipients and thresholds."""
    return [
        {
            "Notification": {
                "NotificationType": "ACTUAL",
                "ComparisonOperator": "GREATER_THAN",
                "Threshold": share,
                "ThresholdType": "PERCENTAGE",
            },
            "Subscribers": [{"SubscriptionType": "EMAIL", "Address": params["email"]}],
        }
        for share in SHARES
    ]


def current(client: Any, account: str, name: str) -> tuple[float, list[str]] | None:
    """The current limit and recipients, or nothing."""
    asked = {"AccountId": account, "BudgetName": name}
    try:
        answer = client.describe_budget(**asked)
    except client.exceptions.NotFoundException:
        return None
    return float(answer["Budget"]["BudgetLimit"]["Amount"]), shapes.emails(client, **asked)


def ensure(module: Any) -> bool:
    """Create or update the budget; return whether anything changed."""
    params, client = module.params, module.client("budgets")
    account = module.client("sts").get_caller_identity()["Account"]
    present = params["state"] == "present"
    wanted = (params["usd"], [params["email"]]) if present else None
    found = current(client, account, params["name"])
    if found == wanted:
        return False
    if module.check_mode:
        return True
    # To change it, the budget is recreated; AWS computes the month's cost again from its records.
    if found is not None:
        client.delete_budget(AccountId=account, BudgetName=params["name"])
    if wanted is not None:
        client.create_budget(
            AccountId=account,
            Budget=budget(params),
            NotificationsWithSubscribers=mails(params),
        )
    return True


def main() -> None:
    """Run the module."""
    module = AnsibleAWSModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "usd": {"type": "float"},
            "email": {"type": "str"},
        },
        required_if=[("state", "present", ("usd", "email"))],
        supports_check_mode=True,
    )
    with told(module, f"The budget {module.params['name']} could not be set"):
        changed = ensure(module)
    module.exit_json(changed=changed)


if __name__ == "__main__":
    main()
