"""What goes wrong before the first change: one clear line, and nothing was made."""

from __future__ import annotations

import json
from typing import Any

from tests.aws.conftest import INSTANCE, REGION, Aws

WRITES = ("Create", "Run", "Put", "Import", "Attach", "Authorize")


def made(aws: Aws) -> list[str]:
    """The calls that change something."""
    return [x for x in aws.emulator.calls if x.split(":")[1].startswith(WRITES)]


def test_credentials_that_aws_does_not_know_are_one_line(aws: Aws) -> None:
    """Neither the inventory nor the first question goes through."""
    refused = ("sts:GetCallerIdentity", "ec2:DescribeInstances")
    aws.emulator.calls.clear()
    aws.emulator.refuse = dict.fromkeys(refused, (1, "AuthFailure"))
    result = aws.run("playbooks/provision.yml")
    aws.emulator.refuse = {}
    assert result.code != 0
    assert "AWS does not know these credentials" in result.words
    assert "Traceback" not in result.output
    assert made(aws) == []


def test_without_credentials_it_says_where_they_come_from(aws: Aws) -> None:
    aws.emulator.calls.clear()
    unset = dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "")
    result = aws.run("playbooks/plan.yml", environment=unset | {"AWS_EC2_METADATA_DISABLED": "1"})
    assert result.code != 0
    assert "no credentials: set AWS_PROFILE" in result.words
    assert aws.emulator.calls.total() == 0


def test_wrong_settings_are_said_all_at_once_and_nobody_is_asked(aws: Aws) -> None:
    result = aws.run("site.yml", millrace_admin_cidr="0.0.0.0/0", millrace_owner="")
    assert result.code != 0
    assert "opens SSH and the API to the world" in result.words
    assert "millrace_owner is missing" in result.words
    assert made(aws) == []


def test_a_missing_secret_is_named_before_the_first_change(aws: Aws) -> None:
    """Secrets of Secrets Manager, one of them missing and one that everybody knows."""
    aws.emulator.calls.clear()
    secrets = {
        "vault_ca_passphrase": "correct-horse-battery-staple",
        "vault_api_token_operator": "changeme",
    }
    manager = aws.client("secretsmanager")
    manager.create_secret(Name=f"/{INSTANCE}/deployment", SecretString=json.dumps(secrets))
    aws.emulator.calls.clear()
    settings: dict[str, Any] = {"millrace_secrets_source": "secretsmanager"}
    result = aws.run("playbooks/provision.yml", **settings)
    assert result.code != 0
    assert "vault_kafka_producer_password" in result.words
    assert "correct-horse" not in result.output
    assert made(aws) == []
    copy = aws.directory / "state" / "secrets.yml"
    assert copy.read_text().startswith("$ANSIBLE_VAULT")
    assert copy.stat().st_mode & 0o077 == 0


def test_a_subnet_of_somebody_else_is_seen_before_it_is_in_the_way(aws: Aws) -> None:
    ec2 = aws.client("ec2")
    mine = {"Project": "millrace", "Environment": INSTANCE, "Name": INSTANCE}
    vpc = ec2.create_vpc(CidrBlock="10.42.0.0/16")["Vpc"]["VpcId"]
    ec2.create_tags(Resources=[vpc], Tags=[{"Key": k, "Value": v} for k, v in mine.items()])
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.42.0.0/25", AvailabilityZone=f"{REGION}a")[
        "Subnet"
    ]["SubnetId"]
    aws.emulator.calls.clear()
    result = aws.run("playbooks/provision.yml")
    assert result.code != 0
    assert f"10.42.0.0/24 is taken by {subnet}" in result.words
    assert made(aws) == []


def test_teardown_removes_what_was_made_half(aws: Aws) -> None:
    """A VPC with things in it that no tag had reached, and a host without anything around it."""
    ec2 = aws.client("ec2")
    vpc = ec2.describe_vpcs(Filters=[{"Name": "tag:Environment", "Values": [INSTANCE]}])["Vpcs"][0]
    groups = [
        ec2.create_security_group(GroupName=name, Description="half", VpcId=vpc["VpcId"])["GroupId"]
        for name in ("one", "two")
    ]
    for group, other in zip(groups, reversed(groups), strict=True):
        pair = {"GroupId": other}
        rule = {"IpProtocol": "tcp", "FromPort": 1, "ToPort": 1, "UserIdGroupPairs": [pair]}
        ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[rule])
    said = {"Project": "millrace", "Environment": INSTANCE, "Host": "kafka-1", "Role": "kafka"}
    ec2.run_instances(
        ImageId=aws.image,
        MinCount=1,
        MaxCount=1,
        DisableApiTermination=True,
        TagSpecifications=[
            {
                "ResourceType": "instance",
                "Tags": [{"Key": key, "Value": value} for key, value in said.items()],
            }
        ],
    )
    result = aws.run("teardown.yml", confirm=INSTANCE)
    assert result.code == 0, result.output
    assert aws.everything() == {}
