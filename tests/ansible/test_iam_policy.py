"""The operator's policy is what the record and the listed reasons come to: no less, no more."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from fnmatch import fnmatch
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from tests.ansible.conftest import ROOT
from tests.ansible.test_aws_filters import wanted

SCRIPT = ROOT / "scripts" / "iam-policy"
PAGE = json.loads((ROOT / "docs" / "aws-operator-policy.json").read_text())


def allowing(action: str) -> list[dict[str, Any]]:
    """The statements that allow an action."""
    return [x for x in PAGE["Statement"] if any(fnmatch(action, y) for y in x["Action"])]


@pytest.fixture(scope="module")
def iam_policy() -> ModuleType:
    loader = SourceFileLoader("iam_policy", str(SCRIPT))
    spec = spec_from_loader("iam_policy", loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


@pytest.fixture
def recorded(iam_policy: ModuleType) -> set[str]:
    """Calls that would lead to the policy as it is."""
    statements = [x for x in PAGE["Statement"] if x["Sid"] not in iam_policy.OPTIONS]
    allowed = {action for statement in statements for action in statement["Action"]}
    # What only describes is one action of the policy, which is not the name of any call.
    allowed -= {f"{beginning}*" for beginning in iam_policy.DESCRIBING}
    allowed |= {"ec2:DescribeInstances", "s3:GetBucketTagging"}
    implied = {action for actions in iam_policy.ALSO.values() for action in actions}
    return (allowed - iam_policy.UNSEEN) - (implied - {"ec2:CreateTags"})


def check(directory: Path, calls: set[str]) -> subprocess.CompletedProcess[str]:
    record = directory / "calls.jsonl"
    lines = [dict(zip(("service", "operation"), call.split(":"), strict=True)) for call in calls]
    record.write_text("".join(json.dumps(line | {"status": 200}) + "\n" for line in lines))
    command = [sys.executable, str(SCRIPT), "--check", str(record)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_policy_is_what_its_calls_come_to(tmp_path: Path, recorded: set[str]) -> None:
    done = check(tmp_path, recorded)
    assert done.returncode == 0, done.stderr


def test_a_policy_that_is_too_narrow_or_too_wide_is_refused(
    tmp_path: Path, recorded: set[str]
) -> None:
    narrow = check(tmp_path, recorded | {"ec2:CreateFleet"})
    assert narrow.returncode != 0
    assert "lacks ec2:CreateFleet on *" in narrow.stderr
    wide = check(tmp_path, recorded - {"ecr:DescribeRepositories"})
    assert wide.returncode != 0
    assert "allows without need ecr:DescribeRepositories on arn:aws:ecr" in wide.stderr


@pytest.mark.parametrize(
    "action",
    [
        "ecr:GetDownloadUrlForLayer",
        "iam:TagRole",
        "iam:TagInstanceProfile",
        "s3:DeleteObjectVersion",
        "s3:PutBucketVersioning",
        "glue:CreateDatabase",
        "glue:DeleteDatabase",
        "ec2:DescribeInstanceTypes",
        "ec2:ModifyInstanceMetadataOptions",
        "ec2:ReplaceIamInstanceProfileAssociation",
        "iam:DetachRolePolicy",
        "iam:PutRolePermissionsBoundary",
        "ec2:ModifyVolume",
        "ssm:StartSession",
        "s3:PutObject",
        "budgets:ModifyBudget",
        "secretsmanager:GetSecretValue",
    ],
)
def test_what_no_recorded_call_shows_is_allowed_too(action: str) -> None:
    assert allowing(action)


def test_a_policy_that_aws_would_not_take_is_not_written(iam_policy: ModuleType) -> None:
    assert len(json.dumps(PAGE, separators=(",", ":"))) <= iam_policy.LONGEST


OURS = {"StringEquals": {"aws:ResourceTag/Project": "millrace"}}
TAGGED = {"StringEquals": {"aws:RequestTag/Project": "millrace"}}
HOSTS = "arn:aws:iam::*:policy/millrace-hosts"
BOUNDED = {"StringLike": {"iam:PermissionsBoundary": HOSTS}}


@pytest.mark.parametrize(
    ("action", "condition"),
    [
        ("iam:PassRole", {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}}),
        ("iam:CreateRole", BOUNDED),
        ("iam:PutRolePolicy", BOUNDED),
        ("iam:PutRolePermissionsBoundary", BOUNDED),
        ("ec2:TerminateInstances", OURS),
        ("ec2:StopInstances", OURS),
        ("ec2:DeleteVolume", OURS),
        ("ec2:DeleteVpc", OURS),
        ("ec2:DeleteKeyPair", OURS),
        ("ec2:ReleaseAddress", OURS),
        ("ec2:AttachVolume", OURS),
        ("ec2:ModifyVolume", OURS),
        ("ec2:AuthorizeSecurityGroupIngress", OURS),
        ("ec2:CreateVolume", TAGGED),
        ("ec2:ImportKeyPair", TAGGED),
    ],
)
def test_what_could_hurt_others_is_allowed_on_a_condition_alone(
    action: str, condition: dict[str, Any]
) -> None:
    assert [x.get("Condition") for x in allowing(action)] == [condition]


def test_every_action_on_what_is_there_has_a_condition() -> None:
    """Beside describing EC2 there is no more than making something new without one."""
    for item in PAGE["Statement"]:
        changing = [x for x in item["Action"] if re.match(r"ec2:(?!Describe|Create|Run)", x)]
        changing += [x for x in item["Action"] if x == "ec2:CreateRoute"]
        assert not changing or item["Condition"] in (OURS, TAGGED), changing


def test_hosts_and_their_disks_are_launched_with_our_tag_alone() -> None:
    untagged = [x for x in allowing("ec2:RunInstances") if "Condition" not in x]
    kinds = {arn.split(":")[-1] for x in untagged for arn in x["Resource"]}
    assert kinds.isdisjoint({"*", "instance/*", "volume/*"})


def test_nobody_elses_resource_can_be_tagged_as_ours() -> None:
    conditions = [x["Condition"] for x in allowing("ec2:CreateTags")]
    assert conditions == [{"Null": {"ec2:CreateAction": "false"}}, OURS]
    assert not allowing("ec2:DeleteTags")
    assert not allowing("iam:DeleteRolePermissionsBoundary")
    assert not allowing("iam:CreatePolicyVersion")


def test_roles_and_parameters_of_others_are_out_of_reach() -> None:
    for item in PAGE["Statement"]:
        if any(x.startswith("iam:") and x.split(":")[1][:4] != "List" for x in item["Action"]):
            assert all("/millrace" in x for x in item["Resource"]), item
    [parameters] = allowing("ssm:GetParameter")
    assert parameters["Resource"] == ["arn:aws:ssm:*:*:parameter/aws/service/*"]


def test_what_the_documentation_tells_people_to_type_is_allowed() -> None:
    typed = re.findall(r"`aws ec2 ([a-z-]+)", (ROOT / "docs" / "aws.md").read_text())
    assert {"modify-volume", "modify-instance-credit-specification"} <= set(typed)
    for command in typed:
        assert allowing("ec2:" + "".join(word.capitalize() for word in command.split("-")))


def test_no_role_of_hosts_is_allowed_more_than_the_boundary(iam_policy: ModuleType) -> None:
    page = json.loads((ROOT / "docs" / "aws-hosts-boundary.json").read_text())
    assert page == iam_policy.boundary(), "scripts/iam-policy writes it"
    for settings in ({}, {"connection": "ssm"}):
        for profile in wanted(**settings)["profiles"]:
            for item in profile["policy"]["Statement"]:
                for action in item["Action"]:
                    most = [x["Resource"] for x in page["Statement"] if action in x["Action"]]
                    patterns = [y for x in most for y in ([x] if isinstance(x, str) else x)]
                    here = item["Resource"]
                    for arn in [here] if isinstance(here, str) else here:
                        assert any(fnmatch(arn, pattern) for pattern in patterns), (action, arn)


@pytest.mark.parametrize(
    ("content", "status", "said"),
    [
        (None, 2, "error: cannot read "),
        ("", 1, " holds no call"),
        ("{", 1, " is no record of calls: JSONDecodeError: "),
        ('{"service": "ec2"}', 1, " is no record of calls: KeyError: 'status'"),
        ("[1]", 1, " is no record of calls: TypeError: "),
    ],
)
def test_what_is_no_record_is_one_line(
    tmp_path: Path, content: str | None, status: int, said: str
) -> None:
    if content is not None:
        (tmp_path / "record").write_text(content)
    done = subprocess.run(
        [sys.executable, SCRIPT, "--check", tmp_path / "record"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status
    assert said in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
