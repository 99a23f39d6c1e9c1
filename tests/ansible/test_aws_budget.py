"""A budget is made anew for another limit or address, and left alone otherwise."""

from __future__ import annotations

from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from tests.ansible.aws_model import as_in
from tests.ansible.conftest import ROOT, load


class NotFoundError(Exception):
    """What AWS says of a budget that there is not."""


class Budgets:
    """An account with one budget, or none."""

    exceptions = SimpleNamespace(NotFoundException=NotFoundError)

    def __init__(self, usd: float | None = None, email: str = "") -> None:
        self.usd, self.email = usd, email
        self.done: list[str] = []

    @as_in("sts")
    def get_caller_identity(self) -> dict[str, str]:
        return {"Account": "123456789012"}

    @as_in("budgets")
    def describe_budget(self, *, BudgetName: str, **_: str) -> dict[str, Any]:  # noqa: N803
        if self.usd is None:
            raise NotFoundError
        limit = {"Amount": str(self.usd), "Unit": "USD"}
        kind = {"TimeUnit": "MONTHLY", "BudgetType": "COST"}
        return {"Budget": {"BudgetName": BudgetName, "BudgetLimit": limit, **kind}}

    @as_in("budgets")
    def describe_notifications_for_budget(self, **_: str) -> dict[str, Any]:
        kind = {"NotificationType": "ACTUAL", "ComparisonOperator": "GREATER_THAN"}
        return {"Notifications": [{**kind, "Threshold": share} for share in (80, 100)]}

    @as_in("budgets")
    def describe_subscribers_for_notification(self, **_: Any) -> dict[str, Any]:
        return {"Subscribers": [{"SubscriptionType": "EMAIL", "Address": self.email}]}

    @as_in("budgets")
    def delete_budget(self, **_: str) -> None:
        self.done.append("delete")

    @as_in("budgets")
    def create_budget(self, *, NotificationsWithSubscribers: Any, **_: Any) -> None:  # noqa: N803
        self.email = NotificationsWithSubscribers[0]["Subscribers"][0]["Address"]
        self.done.append("create")


@pytest.fixture(scope="module")
def aws_budget() -> ModuleType:
    return load(ROOT / "plugins/modules/aws_budget.py")


@pytest.mark.parametrize(
    ("found", "state", "email", "done"),
    [
        (Budgets(), "present", "me@example.com", ["create"]),
        (Budgets(50.0, "me@example.com"), "present", "me@example.com", []),
        (Budgets(60.0, "me@example.com"), "present", "me@example.com", ["delete", "create"]),
        (Budgets(50.0, "me@example.com"), "present", "you@example.com", ["delete", "create"]),
        (Budgets(50.0, "me@example.com"), "absent", "", ["delete"]),
        (Budgets(), "absent", "", []),
    ],
)
def test_a_budget_is_as_declared(
    aws_budget: ModuleType, found: Budgets, state: str, email: str, done: list[str]
) -> None:
    params = {"name": "millrace", "state": state, "usd": 50.0, "email": email}
    module = SimpleNamespace(params=params, check_mode=False, client=lambda _: found)
    assert aws_budget.ensure(module) is bool(done)
    assert found.done == done
    if state == "present":
        assert found.email == email
