"""What goes wrong before the first change: one clear line, and nothing was made."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml

from tests.aws.conftest import INSTANCE, REGION, ROOT, Aws

WRITES = ("Create", "Run", "Put", "Import", "Attach", "Authorize")


def made(aws: Aws) -> list[str]:
    """The calls that change something."""
    return [x for x in aws.moto.calls if x.split(":")[1].startswith(WRITES)]


@pytest.mark.parametrize(
    ("refused", "code", "says"),
    [
        # Neither the inventory nor the first question goes through.
        (
            ("sts:GetCallerIdentity", "ec2:DescribeInstances"),
            "AuthFailure",
            "AWS does not know these credentials",
        ),
        (
            ("sts:GetCallerIdentity", "ec2:DescribeInstances"),
            "ExpiredToken",
            "the session has expired: log in to AWS again",
        ),
        (("ec2:DescribeVpcs",), "UnauthorizedOperation", "a permission is missing"),
    ],
)
def test_what_aws_refuses_at_once_is_one_line_and_nothing_was_made(
    aws: Aws, refused: tuple[str, ...], code: str, says: str
) -> None:
    aws.moto.calls.clear()
    aws.moto.refuse = dict.fromkeys(refused, (1, code))
    result = aws.run("playbooks/deploy/provision.yml")
    aws.moto.refuse = {}
    assert result.code != 0
    assert says in result.words
    assert "Traceback" not in result.output
    assert made(aws) == []


def test_without_credentials_nothing_is_a_success(aws: Aws) -> None:
    aws.moto.calls.clear()
    unset = dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "")
    result = aws.run("playbooks/plan.yml", environment=unset | {"AWS_EC2_METADATA_DISABLED": "1"})
    assert result.code != 0
    assert "no credentials: set AWS_PROFILE" in result.words
    assert "PLAY" not in result.output
    assert aws.moto.calls.total() == 0


def test_wrong_settings_are_said_all_at_once_and_nobody_is_asked(aws: Aws) -> None:
    aws.moto.calls.clear()
    host = {"name": "all-1", "roles": ["kafka"], "type": "t3.small", "data_gb": "20 GB"}
    result = aws.run("site.yml", millrace_fleet=[host], millrace_zones="a")
    assert result.code != 0
    assert "millrace_zones is 'a': it must be a list" in result.words
    assert "host all-1: data_gb is '20 GB': it must be a whole number" in result.words
    result = aws.run("site.yml", millrace_admin_cidr="0.0.0.0/0", millrace_owner="")
    assert result.code != 0
    assert "opens SSH and the API to the world" in result.words
    assert "millrace_owner is missing" in result.words
    assert made(aws) == []


@pytest.mark.parametrize(
    ("chosen", "says"),
    [
        ({"millrace_ownr": "me"}, "nothing reads the variable millrace_ownr: did you mean"),
        ({"millrace_feeds": ["metals"]}, "would publish to a feed that is not in millrace_feeds"),
    ],
)
def test_what_no_host_could_run_is_refused_before_there_is_one(
    aws: Aws, chosen: dict[str, Any], says: str
) -> None:
    aws.moto.calls.clear()
    result = aws.run("site.yml", **chosen)
    assert result.code != 0
    assert says in result.words
    assert made(aws) == []


def test_where_no_host_is_none_is_stopped_or_started(aws: Aws) -> None:
    """As in another region than that of the hosts, which would go on costing."""
    for name in ("stop", "start"):
        result = aws.run(f"playbooks/{name}.yml")
        assert result.code != 0
        assert f"{INSTANCE} has no hosts in {REGION}: " in result.words


def test_zones_are_those_that_the_account_has(aws: Aws) -> None:
    """The first two by themselves, of those that have the types."""
    result = aws.run("playbooks/plan.yml", millrace_zones=[])
    assert result.code == 0, result.output
    for zone in "ab":
        assert re.search(rf"subnet +{INSTANCE}-public-{zone} ", result.output)
    aws.moto.calls.clear()
    roles = ["kafka", "mongodb", "simulator", "processor", "api", "producers"]
    misspelt = {"name": "all-1", "roles": roles, "type": "t3.smal", "data_gb": 20, "node_id": 1}
    result = aws.run("playbooks/deploy/provision.yml", millrace_zones=[], millrace_fleet=[misspelt])
    assert result.code != 0
    assert "offers t3.smal for all-1: give the host a type that there is" in result.words
    assert made(aws) == []


def test_a_key_pair_of_somebody_else_stays_theirs(aws: Aws) -> None:
    ec2 = aws.client("ec2")
    theirs = ec2.create_key_pair(KeyName=INSTANCE)["KeyFingerprint"]
    aws.moto.calls.clear()
    result = aws.run("playbooks/deploy/provision.yml")
    assert result.code != 0
    assert "that does not belong to this environment" in result.words
    assert made(aws) == []
    assert [x["KeyFingerprint"] for x in ec2.describe_key_pairs()["KeyPairs"]] == [theirs]
    ec2.delete_key_pair(KeyName=INSTANCE)


def test_what_is_wrong_with_secrets_is_said_before_the_first_change(aws: Aws) -> None:
    """Of Secrets Manager: one is missing, and one is one that everybody knows."""
    shared = yaml.safe_load((ROOT / "inventories" / "shared" / "secrets.yml").read_text())
    # Every one that is required but one, and none that is not.
    values = {"password": "correct-horse-battery-staple", "base64": "ABCDEFGH" * 8}
    secrets = {
        key: values[spec["kind"]]
        for key, spec in shared["millrace_secrets"].items()
        if spec["kind"] in values
    }
    del secrets["vault_kafka_producer_password"]
    secrets["vault_api_token_operator"] = "changeme"
    name = f"/{INSTANCE}/deployment"
    manager = aws.client("secretsmanager")
    manager.create_secret(Name=name, SecretString=json.dumps(secrets))
    aws.moto.calls.clear()
    result = aws.run("playbooks/deploy/provision.yml", millrace_secrets_source="secretsmanager")
    assert result.code != 0
    kept = f"the secret {name} of Secrets Manager"
    assert f"{kept} lacks vault_kafka_producer_password" in result.words
    assert f"{kept}: vault_api_token_operator is a known default or placeholder" in result.words
    assert "Change it there" in result.words
    assert "ansible-vault edit" not in result.words
    assert "changeme" not in result.output
    assert "correct-horse" not in result.output
    assert made(aws) == []
    copy = aws.directory / "state" / "secrets.yml"
    assert copy.read_text().startswith("$ANSIBLE_VAULT")
    assert copy.stat().st_mode & 0o077 == 0


def test_all_that_is_in_the_way_of_an_environment_is_said_before_the_first_change(aws: Aws) -> None:
    """Zones, somebody's subnet, the quota of vCPUs and the policy that bounds roles."""
    ec2 = aws.client("ec2")
    mine = {"Project": "millrace", "Environment": INSTANCE, "Name": INSTANCE}
    vpc = ec2.create_vpc(CidrBlock="10.42.0.0/16")["Vpc"]["VpcId"]
    ec2.create_tags(Resources=[vpc], Tags=[{"Key": k, "Value": v} for k, v in mine.items()])
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.42.0.0/25", AvailabilityZone=f"{REGION}a")[
        "Subnet"
    ]["SubnetId"]
    # The four hosts alone would fit: what somebody else runs in the region counts too.
    theirs = ec2.run_instances(ImageId=aws.image, MinCount=1, MaxCount=1, InstanceType="c5.large")[
        "Instances"
    ][0]["InstanceId"]
    aws.moto.calls.clear()
    aws.moto.vcpus = 8.0
    result = aws.run(
        "playbooks/deploy/provision.yml",
        millrace_zones=["e", "z"],
        millrace_permissions_boundary="none-such",
    )
    aws.moto.vcpus = None
    ec2.terminate_instances(InstanceIds=[theirs])
    assert result.code != 0
    says = (
        f"{REGION} has no zone z for this account",
        f"{REGION}e does not offer t3.small for kafka-1",
        f"10.42.0.0/24 is taken by {subnet}",
        "quota of vCPUs is 8 for standard instances in this region, 2 are in use, and 8 more are "
        "needed for kafka-1, mongodb-1, processor-1, producers-1: ask for more in the Service "
        "Quotas console",
        "the account has no policy none-such to bound the roles of hosts",
        "aws iam create-policy --policy-name none-such",
    )
    assert [line for line in says if line not in result.words] == []
    assert "Traceback" not in result.output
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
    # Not every repository below the environment's name is its own.
    ecr, theirs = aws.client("ecr"), f"{INSTANCE}/theirs"
    ecr.create_repository(repositoryName=theirs)
    result = aws.run("teardown.yml", confirm=INSTANCE)
    assert result.code == 0, result.output
    left = aws.everything()
    assert left.keys() == {"repositories"}
    assert [x["repositoryName"] for x in left["repositories"]] == [theirs]
    ecr.delete_repository(repositoryName=theirs)
    # The next run has no need to pack it again.
    assert list(aws.directory.glob("modules/*.ec2_vpc_net-*"))


def test_what_an_expired_environment_left_is_listed_and_removed(aws: Aws) -> None:
    """Neither has a VPC: a run that was killed at once left one, an expiry without data another."""
    ec2 = aws.client("ec2")

    def said(kind: str, name: str, day: str) -> list[dict[str, Any]]:
        tags = {"Project": "millrace", "Environment": name, "ExpiresAt": day, "Owner": "me"}
        tags |= {"Role": "data", "Host": "kafka-1"}
        listed = [{"Key": key, "Value": value} for key, value in tags.items()]
        return [{"ResourceType": kind, "Tags": listed}]

    old, day = "left-over", "2020-01-01"
    ec2.create_key_pair(KeyName=INSTANCE, TagSpecifications=said("key-pair", INSTANCE, "never"))
    zone, kind = f"{REGION}a", "volume"
    ec2.create_volume(AvailabilityZone=zone, Size=1, TagSpecifications=said(kind, old, day))
    aws.client("s3").create_bucket(Bucket=f"{old}-123456789012-{REGION}")
    result = aws.run("playbooks/expire.yml", confirm=old, delete_data=old)
    assert result.code == 0, result.output
    assert re.search(rf"{INSTANCE}\s+never\s+me\n", result.output)
    assert re.search(rf"{old}\s+{day}\s+me\s+\(past\)", result.output)
    assert aws.everything() == {"keys": [INSTANCE]}
    ec2.delete_key_pair(KeyName=INSTANCE)
