"""What uses the quota of vCPUs: standard instances on demand that run, whosever they are."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
from tests.ansible.aws_model import as_in, checked
from tests.ansible.conftest import ROOT, load


class Pages:
    """An answer of one page, and what was asked."""

    def __init__(self, operation: str, answer: dict[str, Any]) -> None:
        self.operation, self.answer = operation, answer
        self.filters: list[dict[str, Any]] = []

    def paginate(self, *, Filters: list[dict[str, Any]]) -> list[dict[str, Any]]:  # noqa: N803
        self.filters = Filters
        return [checked("ec2", self.operation, {"Filters": Filters}, self.answer)]


class Account:
    """A region with these instances, and a quota of 32."""

    def __init__(self, *instances: dict[str, Any]) -> None:
        kinds = {"t3.small": 2, "c5.xlarge": 4}
        types = [{"InstanceType": x, "VCpuInfo": {"DefaultVCpus": n}} for x, n in kinds.items()]
        answers: dict[str, dict[str, Any]] = {
            "describe_instances": {"Reservations": [{"Instances": list(instances)}]},
            "describe_instance_types": {"InstanceTypes": types},
        }
        self.pages = {name: Pages(name, answer) for name, answer in answers.items()}

    def get_paginator(self, operation: str) -> Pages:
        return self.pages[operation]

    @as_in("service-quotas")
    def get_service_quota(self, **asked: str) -> dict[str, Any]:
        assert asked == {"ServiceCode": "ec2", "QuotaCode": "L-1216C47A"}
        return {"Quota": {"Value": 32.0}}


@pytest.fixture(scope="module")
def aws_vcpus_info() -> ModuleType:
    return load(ROOT / "plugins/modules/aws_vcpus_info.py")


def instance(name: str, kind: str, tenancy: str = "default", **more: str) -> dict[str, Any]:
    placed = {"Placement": {"Tenancy": tenancy}}
    return {"InstanceId": name, "InstanceType": kind, **placed, **more}


def test_only_what_the_quota_counts_is_in_use(aws_vcpus_info: ModuleType) -> None:
    account = Account(
        instance("i-1", "c5.xlarge"),
        instance("i-2", "c5.xlarge", InstanceLifecycle="spot"),
        instance("i-3", "c5.xlarge", tenancy="host"),
        instance("i-4", "g5.xlarge"),
    )
    found = aws_vcpus_info.look(account, account, ["t3.small", "p5.48xlarge"])
    assert found["quota"] == 32
    assert [item["id"] for item in found["running"]] == ["i-1"]
    assert found["vcpus"] == {"t3.small": 2, "c5.xlarge": 4}
    assert account.pages["describe_instances"].filters == [
        {"Name": "instance-state-name", "Values": ["pending", "running"]}
    ]
    named = account.pages["describe_instance_types"].filters
    assert named == [{"Name": "instance-type", "Values": ["c5.xlarge", "t3.small"]}]


def test_a_fleet_of_other_quotas_asks_for_no_type(aws_vcpus_info: ModuleType) -> None:
    account = Account()
    assert aws_vcpus_info.look(account, account, ["g5.xlarge"])["vcpus"] == {}
    assert account.pages["describe_instance_types"].filters == []


@pytest.mark.parametrize(
    ("kind", "counts"),
    [
        *[(x, True) for x in ("a1.large", "c7gn.large", "d3en.xlarge", "h1.2xlarge", "i4i.large")],
        *[(x, True) for x in ("im4gn.large", "m5.large", "r6i.large", "t3.micro", "z1d.large")],
        *[(x, False) for x in ("inf2.xlarge", "trn1.2xlarge", "dl1.24xlarge", "hpc7g.4xlarge")],
        *[(x, False) for x in ("mac2.metal", "g5.xlarge", "p5.48xlarge", "x2gd.large", "u-6tb1")],
    ],
)
def test_other_families_have_quotas_of_their_own(
    aws_vcpus_info: ModuleType, kind: str, counts: bool
) -> None:
    assert aws_vcpus_info.shapes.standard(kind) is counts
