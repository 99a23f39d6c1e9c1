"""What is wanted, what it costs, what is in the way, and what AWS's errors mean."""

from __future__ import annotations

import sys
from typing import Any

import pytest
import yaml
from tests.ansible.conftest import ROOT
from tests.ansible.test_aws_settings import FLEETS, fleet, good

sys.path.insert(0, str(ROOT / "plugins" / "filter"))

import aws_advice
import aws_cost
import aws_plan
import aws_problems
import aws_wanted

PRICES = yaml.safe_load((ROOT / "prices" / "aws" / "us-east-1.yml").read_text())
ACCOUNT = "123456789012"
NOTHING: dict[str, Any] = {
    kind: []
    for kind in (
        *("vpcs", "subnets", "gateways", "tables", "endpoints", "nats", "addresses", "groups"),
        *(
            "instances",
            "volumes",
            "roles",
            "profiles",
            "keys",
            "repositories",
            "buckets",
            "budgets",
        ),
    )
}


def wanted(**changes: Any) -> dict[str, Any]:
    return dict(aws_wanted.aws_wanted(good() | changes, ACCOUNT))


def cost(path: str) -> float:
    hosts = yaml.safe_load((ROOT / "inventories" / "aws" / "fleets" / path).read_text())
    return float(aws_cost.aws_cost(wanted(fleet=hosts["millrace_fleet"]), PRICES)["month"])


def test_the_cost_is_that_of_the_price_list() -> None:
    """As worked out by hand, data volumes included, which the seeds left out with the addresses."""
    assert aws_cost.aws_cost(wanted(), PRICES)["month"] == pytest.approx(
        45.55 + 9.60 + 14.60, abs=0.01
    )
    assert cost("four-hosts-gpus.yml") == pytest.approx(69.75, abs=0.01)
    assert cost("three-hosts.yml") == pytest.approx(3 * 15.184 + 100 * 0.08 + 3 * 3.65, abs=0.01)
    assert cost("one-host-stocks.yml") == pytest.approx(30.368 + 40 * 0.08 + 3.65, abs=0.01)


def test_a_nat_gateway_costs_and_a_private_host_has_no_address() -> None:
    before = aws_cost.aws_cost(wanted(), PRICES)
    after = aws_cost.aws_cost(wanted(fleet=fleet(3, subnet="private"), connection="ssm"), PRICES)
    # One address less for the host, one more for the gateway.
    assert after["month"] - before["month"] == pytest.approx(0.045 * 730)
    assert after["stopped"] - before["stopped"] == pytest.approx(0.05 * 730)


def test_an_unknown_price_is_said_and_not_guessed() -> None:
    found = aws_cost.aws_cost(wanted(fleet=fleet(0, type="z9.huge")), PRICES)
    assert found["unknown"] == ["z9.huge"]
    assert found["month"] == pytest.approx(69.75 - 15.184, abs=0.01)
    assert aws_cost.aws_cost(wanted(), {})["rows"] == []
    assert "this region" in aws_cost.aws_cost(wanted(), None)["unknown"][0]


def test_no_port_is_open_for_ssh_where_ssm_is_used() -> None:
    for group in wanted(connection="ssm")["groups"]:
        assert not [line for line in group["ingress"] if " 22-22 " in line]


@pytest.mark.parametrize("path", FLEETS, ids=lambda path: path.stem)
def test_names_are_short_enough_for_iam(path: Any) -> None:
    hosts = yaml.safe_load(path.read_text())["millrace_fleet"]
    names = wanted(fleet=hosts, instance="a" * 20, region="ap-southeast-2")["profiles"]
    assert all(len(profile["name"]) <= 64 for profile in names)


def test_agents_of_ssm_may_not_read_parameters_of_others() -> None:
    for profile in wanted(connection="ssm")["profiles"]:
        for statement in profile["policy"]["Statement"]:
            if statement["Resource"] == "*":
                assert not [action for action in statement["Action"] if "Parameter" in action]


def test_a_plan_of_nothing_creates_everything() -> None:
    plan = aws_plan.aws_plan(wanted(), NOTHING)
    assert {step["do"] for step in plan["steps"]} == {"create"}
    assert aws_problems.aws_problems(wanted(), NOTHING) == []


def subnet(name: str, cidr: str, zone: str = "us-east-1a") -> dict[str, Any]:
    return {"id": "subnet-1", "name": name, "cidr": cidr, "zone": zone, "tags": {}}


def instance(name: str) -> dict[str, Any]:
    return {"id": f"i-{name}", "name": name, "type": "t3.small", "zone": "us-east-1a", "tags": {}}


@pytest.mark.parametrize(
    ("found", "says"),
    [
        ({"vpcs": [{"id": "v", "cidr": "10.9.0.0/16", "tags": {}}]}, "a VPC keeps its range"),
        ({"vpcs": [{"id": x, "cidr": "10.42.0.0/16", "tags": {}} for x in "ab"]}, "several VPCs"),
        ({"subnets": [subnet("mine", "10.42.1.0/25")]}, "10.42.1.0/24 is taken by mine (subnet-1"),
        ({"instances": [instance("kafka-1")] * 2}, "2 instances are called kafka-1"),
        ({"instances": [instance("processor-1")]}, "is t3.small and should be t3.micro"),
        (
            {"volumes": [{"id": "v", "host": "kafka-1", "zone": "us-east-1b", "size": 20}]},
            "a volume cannot move",
        ),
        (
            {"volumes": [{"id": "v", "host": "kafka-1", "zone": "us-east-1a", "size": 9}]},
            "has 9 GB and data_gb says 20",
        ),
    ],
)
def test_what_is_in_the_way_is_said(found: dict[str, Any], says: str) -> None:
    assert says in "; ".join(aws_problems.aws_problems(wanted(), NOTHING | found))


def test_a_host_to_replace_must_be_one_of_the_fleet() -> None:
    lines = aws_problems.aws_problems(wanted(), NOTHING, "kafka-9")
    assert lines == [
        "replace=kafka-9: millrace_fleet has no such host "
        "(kafka-1, mongodb-1, processor-1, producers-1)"
    ]


def test_a_route_table_gets_the_way_out_that_is_made_in_the_same_run() -> None:
    tables = [
        {"id": f"rtb-{kind}", "name": f"millrace-{kind}", "subnets": ["", ""], "default": ""}
        for kind in ("public", "private")
    ]
    found = NOTHING | {"tables": [table | {"tags": wanted()["tags"]} for table in tables]}
    hidden = wanted(fleet=fleet(3, subnet="private"), connection="ssm")
    for plan, expected in ((wanted(), [True, False]), (hidden, [True, True])):
        made = aws_plan.aws_plan(plan, found)["network"]["tables"]
        assert [table["changed"] for table in made] == expected


def test_a_host_that_takes_tokens_of_the_old_kind_is_corrected() -> None:
    host = wanted()["hosts"][2]
    tags = wanted()["tags"] | host["tags"]
    there = {"tokens": "required", "hops": 1, "protected": False, "tags": tags}
    there |= {"groups": host["groups"], "profile": host["profile"]}
    assert aws_plan.differences(host, there, wanted()["tags"]) == []
    for change in ({"tokens": "optional"}, {"hops": 2}):
        assert aws_plan.differences(host, there | change, wanted()["tags"]) == ["IMDSv2"]


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        ("Unable to locate credentials", "no credentials: set AWS_PROFILE"),
        ("An error occurred (ExpiredToken) when calling X", "the session has expired"),
        ("An error occurred (InvalidClientTokenId)", "AWS does not know these credentials"),
        ("An error occurred (AuthFailure)", "AWS does not know these credentials"),
        ("An error occurred (UnauthorizedOperation): ec2:X", "a permission is missing"),
        ("User is not authorized to perform: iam:CreateRole", "a permission is missing"),
        ("An error occurred (VpcLimitExceeded)", "a quota is used up"),
        ("An error occurred (VcpuLimitExceeded)", "quota of vCPUs"),
        ("An error occurred (InvalidSubnet.Conflict)", "set another millrace_vpc_cidr"),
        ("Could not connect to the endpoint URL: x", "AWS cannot be reached"),
        ("An error occurred (InsufficientInstanceCapacity)", "another zone or type"),
        ("An error occurred (SomethingElse) now", "An error occurred (SomethingElse) now"),
    ],
)
def test_an_error_of_aws_says_what_to_do(said: str, advice: str) -> None:
    line = aws_advice.aws_advice({"failed": True, "msg": said})
    assert advice in line
    assert said in line


def test_the_code_is_said_even_if_a_module_hides_it_in_a_loop() -> None:
    hidden = {
        "msg": "One or more items failed",
        "results": [
            {"failed": False, "msg": "fine"},
            {"failed": True, "msg": "No.", "exception": "An error occurred (VpcLimitExceeded)"},
        ],
    }
    line = aws_advice.aws_advice(hidden)
    assert "a quota is used up" in line
    assert "No. (VpcLimitExceeded)" in line
