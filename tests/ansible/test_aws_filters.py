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
import aws_environments
import aws_plan
import aws_problems
import aws_quota
import aws_wanted

PRICES = yaml.safe_load((ROOT / "prices" / "aws" / "us-east-1.yml").read_text())
ACCOUNT = "123456789012"
BOUNDARY = f"arn:aws:iam::{ACCOUNT}:policy/millrace-hosts"
NOTHING: dict[str, Any] = {"boundary": BOUNDARY} | {
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
            "databases",
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
    assert cost("two-hosts-archive.yml") == pytest.approx(58.45, abs=0.01)
    assert cost("one-host.yml") == pytest.approx(30.368 + 50 * 0.08 + 3.65, abs=0.01)


def test_credits_are_chosen_for_types_that_have_them_and_their_price_is_said() -> None:
    """Every other type would refuse to be launched."""
    kinds = ["t2.small", "t3a.small", "t4g.small", "m5.large"]
    hosts = [host | {"type": kind} for host, kind in zip(fleet(0), kinds, strict=True)]
    plan = wanted(fleet=hosts)
    assert [host["credits"] for host in plan["hosts"]] == ["unlimited"] * 3 + [""]
    assert aws_cost.aws_cost(plan, PRICES)["surplus"] == [
        "t2: 0.05 USD a vCPU-hour",
        "t3a: 0.05 USD a vCPU-hour",
        "t4g: 0.04 USD a vCPU-hour",
    ]
    throttled = wanted(fleet=hosts, cpu_credits="standard")
    assert [host["credits"] for host in throttled["hosts"]] == ["standard"] * 3 + [""]
    assert aws_cost.aws_cost(throttled, PRICES)["surplus"] == []
    for kind in ("t1.micro", "trn1.2xlarge", "t3x.small"):
        assert wanted(fleet=fleet(0, type=kind))["hosts"][0]["credits"] == ""


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


def instance(name: str, **changes: Any) -> dict[str, Any]:
    found = {"id": f"i-{name}", "name": name, "type": "t3.small", "zone": "us-east-1a", "tags": {}}
    return found | {"subnet": "subnet-1", "root_gb": 20} | changes


@pytest.mark.parametrize(
    ("found", "says"),
    [
        ({"vpcs": [{"id": "v", "cidr": "10.9.0.0/16", "tags": {}}]}, "a VPC keeps its range"),
        ({"vpcs": [{"id": x, "cidr": "10.42.0.0/16", "tags": {}} for x in "ab"]}, "several VPCs"),
        ({"subnets": [subnet("mine", "10.42.1.0/25")]}, "10.42.1.0/24 is taken by mine (subnet-1"),
        ({"instances": [instance("kafka-1")] * 2}, "2 instances are called kafka-1"),
        ({"instances": [instance("processor-1")]}, "is t3.small and should be t3.micro"),
        ({"instances": [instance("kafka-1", zone="us-east-1b")]}, "should be us-east-1a: -e repl"),
        (
            {
                "instances": [instance("kafka-1")],
                "subnets": [subnet("millrace-private-a", "10.42.128.0/24")],
            },
            "kafka-1 is in millrace-private-a and should be in millrace-public-a: -e replace",
        ),
        (
            {"instances": [instance("kafka-1", root_gb=30)]},
            "kafka-1 is on a disk of 30 GB and should be on a disk of 20 GB: -e replace",
        ),
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


def test_a_host_as_the_fleet_says_is_in_nobodys_way() -> None:
    there = {"subnets": [subnet("millrace-public-a", "10.42.0.0/24")]}
    for size in (20, 0):
        there["instances"] = [instance("kafka-1", root_gb=size)]
        assert aws_problems.aws_problems(wanted(), NOTHING | there) == []


def done(plan: dict[str, Any], kind: str) -> str:
    return str(next(step["do"] for step in plan["steps"] if step["kind"] == kind))


EMPTY: dict[str, Any] = {"rules": [], "versioned": False}
"""A bucket that was made a moment ago."""


def test_what_a_killed_run_left_half_made_is_finished() -> None:
    """Each is there, and what is done last with it is not."""
    tags = wanted()["tags"]
    half = {
        "vpcs": [{"id": "vpc-1", "cidr": "10.42.0.0/16", "hostnames": False, "tags": tags}],
        "gateways": [{"id": "igw-1", "vpc": "", "tags": tags}],
        "repositories": [{"name": "millrace/millrace", "tags": {}}],
        "buckets": [{"name": f"millrace-{ACCOUNT}-us-east-1", "tags": tags} | EMPTY],
    }
    whole = {
        "vpcs": [half["vpcs"][0] | {"hostnames": True}],
        "gateways": [half["gateways"][0] | {"vpc": "vpc-1"}],
        "repositories": [half["repositories"][0] | {"tags": tags}],
        "buckets": [half["buckets"][0] | {"rules": ["passed"]}],
    }
    kinds = ("VPC", "internet gateway", "image repository", "bucket")
    plan = aws_plan.aws_plan(wanted(), NOTHING | half)
    assert [done(plan, kind).split(":")[0] for kind in kinds] == ["change"] * 4
    assert plan["network"]["gateway"] == "igw-1"
    plan = aws_plan.aws_plan(wanted(), NOTHING | whole)
    assert [done(plan, kind) for kind in kinds] == ["is there"] * 4


def test_another_owner_reaches_what_ec2_does_not_tag() -> None:
    tags = wanted()["tags"]
    name = f"millrace-{ACCOUNT}-us-east-1"
    profile = wanted()["profiles"][0]
    policies = {"policies": {"millrace": profile["policy"]}, "attached": [], "boundary": BOUNDARY}
    found = NOTHING | {
        "keys": [{"id": "key-1", "name": "millrace", "tags": tags}],
        "roles": [{"name": profile["name"], "tags": tags} | policies],
        "profiles": [{"name": profile["name"], "roles": [profile["name"]], "tags": tags}],
        "repositories": [{"name": "millrace/millrace", "tags": tags}],
        "buckets": [{"name": name, "tags": tags} | EMPTY | {"rules": ["passed"]}],
    }
    for owner, says in (("me", "is there"), ("you", "change")):
        plan = aws_plan.aws_plan(wanted(owner=owner), found)
        kinds = ("IAM role", "image repository", "bucket")
        assert [done(plan, kind).split(":")[0] for kind in kinds] == [says] * 3
        assert plan["retag"] == ([] if owner == "me" else ["key-1"])


ARCHIVED = fleet(1, roles=["mongodb", "archiver"])
BUCKET = f"millrace-{ACCOUNT}-us-east-1-archive"


def archive_steps(found: dict[str, Any], **changes: Any) -> dict[str, str]:
    """What would be done about the archive's bucket and its database."""
    steps = aws_plan.aws_plan(wanted(**changes), NOTHING | found)["steps"]
    names = (BUCKET, "millrace")
    kinds = ("bucket", "Glue database")
    return {x["kind"]: x["do"] for x in steps if x["kind"] in kinds and x["name"] in names}


def test_an_archive_in_s3_has_a_bucket_with_versions_and_a_database() -> None:
    tags = wanted()["tags"]
    bucket = {"name": BUCKET, "tags": tags, "rules": ["archive"], "versioned": True}
    database = {"name": "millrace", "tags": tags}
    whole = {"buckets": [bucket], "databases": [database]}
    changed = "change: settings, tags"
    for found, expected in (
        ({}, ("create", "create")),
        (whole, ("is there", "is there")),
        (whole | {"buckets": [bucket | {"versioned": False}]}, (changed, "is there")),
        (whole | {"buckets": [bucket | {"rules": []}]}, (changed, "is there")),
        (whole | {"databases": [database | {"tags": {}}]}, ("is there", "change: tags")),
    ):
        steps = archive_steps(found, fleet=ARCHIVED)
        assert (steps["bucket"], steps["Glue database"]) == expected
    assert archive_steps({}) == {}
    assert archive_steps({}, fleet=ARCHIVED, archive_store="volume") == {}


def test_the_archivers_host_alone_may_use_the_archive() -> None:
    """And nothing else of S3 and Glue, nor could it remove a table or the history of the bucket."""
    glue = f"arn:aws:glue:us-east-1:{ACCOUNT}"
    expected = {
        ("s3:ListBucket", f"arn:aws:s3:::{BUCKET}"),
        *(
            (f"s3:{action}", f"arn:aws:s3:::{BUCKET}/*")
            for action in ("AbortMultipartUpload", "DeleteObject", "GetObject", "PutObject")
        ),
        *(
            (f"glue:{action}", f"{glue}:{where}")
            for action in ("CreateTable", "GetDatabase", "GetTable", "UpdateTable")
            for where in ("catalog", "database/millrace", "table/millrace/*")
        ),
    }
    for settings, hosts in (
        ({}, ["millrace-us-east-1-archiver-mongodb"]),
        ({"archive_store": "volume"}, []),
    ):
        for profile in wanted(fleet=ARCHIVED, **settings)["profiles"]:
            found = {
                (action, where)
                for item in profile["policy"]["Statement"]
                for action in item["Action"]
                for where in item["Resource"]
                if action.startswith("glue:") or where.startswith(f"arn:aws:s3:::{BUCKET}")
            }
            assert found == (expected if profile["name"] in hosts else set()), profile["name"]


def test_what_an_archive_costs_is_said_and_in_no_sum() -> None:
    volume = aws_cost.aws_cost(wanted(), PRICES)
    found = aws_cost.aws_cost(wanted(fleet=ARCHIVED), PRICES)
    assert found["month"] == volume["month"]
    assert volume["archive"] == []
    assert found["archive"][0].startswith("0.023 USD a GB-month, 0.005 USD a thousand writes")


def test_a_gateway_that_no_host_needs_is_said() -> None:
    found = NOTHING | {"nats": [{"id": "nat-1", "tags": wanted()["tags"]}]}
    assert aws_plan.aws_plan(wanted(), found)["strays"] == ["NAT gateway nat-1"]
    hidden = wanted(fleet=fleet(3, subnet="private"), connection="ssm")
    assert aws_plan.aws_plan(hidden, found)["strays"] == []


@pytest.mark.parametrize(
    ("usd", "email", "does"),
    [
        (50, "me@example.com", "is there"),
        (60, "me@example.com", "change: limit, mail"),
        (50, "you@example.com", "change: limit, mail"),
        (0, "", "change: remove"),
    ],
)
def test_a_budget_follows_its_limit_its_address_and_its_end(
    usd: int, email: str, does: str
) -> None:
    there = {"name": "millrace-us-east-1", "usd": 50.0, "email": "me@example.com"}
    plan = aws_plan.aws_plan(
        wanted(budget_usd=usd, budget_email=email), NOTHING | {"budgets": [there]}
    )
    assert done(plan, "budget") == does
    assert plan["budget"]["done"] is (does == "is there")


def test_an_environment_is_past_once_all_of_it_is() -> None:
    parts = [
        {"Environment": "old", "ExpiresAt": "2020-01-01", "Owner": "me"},
        {"Environment": "old", "ExpiresAt": "2019-01-01"},
        {"Environment": "half"},
        {"Environment": "half", "ExpiresAt": "2020-01-01", "Owner": "you"},
        {"Project": "millrace"},
    ]
    assert aws_environments.aws_environments(parts) == [
        {"name": "half", "expires": "never", "owner": "you"},
        {"name": "old", "expires": "2020-01-01", "owner": "me"},
    ]


def test_a_host_to_replace_must_be_one_of_the_fleet() -> None:
    lines = aws_problems.aws_problems(wanted(), NOTHING, "kafka-9")
    assert lines == [
        "replace=kafka-9: millrace_fleet has no such host "
        "(kafka-1, mongodb-1, processor-1, producers-1)"
    ]


def launched(**states: str) -> list[dict[str, Any]]:
    """Hosts of two vCPUs each as aws_plan has them: 'replace', or the state of the instance."""
    return [
        {"name": name, "type": "t3.small", "state": state, "replace": state == "replace"}
        | {"id": "" if state == "none" else f"i-{name}"}
        for name, state in states.items()
    ]


@pytest.mark.parametrize(
    ("hosts", "quota", "says"),
    [
        (launched(a="none", b="none"), 8, ""),
        (
            launched(a="none", b="none"),
            7.0,
            "is 7 for standard instances in this region, 4 are in use, and 4 more are needed "
            "for a, b: ask for more",
        ),
        # What runs is in use already; what is stopped is started.
        (launched(kafka="running", b="stopped"), 6, ""),
        (launched(kafka="running", b="stopped"), 5, "2 more are needed for b"),
        # The new one takes the place of the old one.
        (launched(kafka="replace"), 4, ""),
        (launched(kafka="replace"), 3, "2 are in use, and 2 more are needed for kafka"),
        # Nothing is to be made, however full it is.
        (launched(kafka="running"), 2, ""),
        # No standard instance, or no type at all.
        ([launched(a="none")[0] | {"type": "g5.xlarge"}], 2, ""),
    ],
)
def test_hosts_that_do_not_fit_into_the_quota_are_in_the_way(
    hosts: list[dict[str, Any]], quota: float, says: str
) -> None:
    running = [{"id": "i-kafka", "type": "t3.small"}, {"id": "i-theirs", "type": "c5.large"}]
    found = {"quota": quota, "running": running, "vcpus": {"t3.small": 2, "c5.large": 2}}
    lines = aws_quota.aws_quota(hosts, found)
    assert len(lines) == bool(says)
    assert says in "; ".join(lines)


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


def test_what_aws_said_is_shown_without_secrets_and_cut_after_that() -> None:
    key = 40 * "k"
    for begin in ("aws_secret_access_key=", '{"SecretAccessKey": "', "?X-Amz-Security-Token="):
        for length in range(300, 401, 7):
            said = f"{length * 'x'} {begin}{key} \x1b[2J"
            line = aws_advice.aws_advice({"failed": True, "msg": said})
            assert "kk" not in line
            assert len(line) <= aws_advice.LONGEST
            assert "\x1b" not in line
    denied = aws_advice.aws_advice({"msg": f"AccessDenied: Authorization: Bearer {key}"})
    assert denied.endswith("AWS: AccessDenied: Authorization: ***")


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
        ("Failed to find SSM parameter /x (ResourceNotFound)", "millrace_ami_parameter names no"),
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
