"""The operator's policy is what the record and the listed reasons come to: no less, no more."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

import pytest
from tests.ansible.conftest import ROOT

SCRIPT = ROOT / "scripts" / "iam-policy"
PAGE = json.loads((ROOT / "docs" / "aws-operator-policy.json").read_text())


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
        "ec2:DescribeInstanceTypes",
        "ec2:ModifyInstanceMetadataOptions",
        "ec2:ReplaceIamInstanceProfileAssociation",
        "iam:DetachRolePolicy",
        "ssm:StartSession",
        "s3:PutObject",
        "budgets:ModifyBudget",
        "secretsmanager:GetSecretValue",
    ],
)
def test_what_no_recorded_call_shows_is_allowed_too(action: str) -> None:
    assert action in [x for statement in PAGE["Statement"] for x in statement["Action"]]


def test_a_policy_that_aws_would_not_take_is_not_written(iam_policy: ModuleType) -> None:
    assert len(json.dumps(PAGE, separators=(",", ":"))) <= iam_policy.LONGEST
