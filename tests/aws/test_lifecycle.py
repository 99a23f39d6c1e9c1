"""A fleet from nothing, killed on the way, to nothing again: what AWS is told at each step."""

from __future__ import annotations

import json
import re
from fnmatch import fnmatch
from typing import Any

import pytest

from tests.aws.conftest import INSTANCE, REGION, ROOT, Aws, Result, tags
from tests.aws.moto_server import OWN_AGENT

ADMIN = "203.0.113.7/32"
# Two hosts: one with data, one without. More of them take longer and show no more.
HOSTS: list[dict[str, Any]] = [
    {"name": "app", "roles": ["processor", "api", "producers", "simulator"], "type": "t3.micro"},
    {
        "name": "data",
        "roles": ["kafka", "mongodb", "redis", "archiver"],
        "type": "t3.small",
        "data_gb": 30,
        "node_id": 1,
    },
]
FLEET = {"millrace_fleet": HOSTS}
OUT = {"tcp 80-80 0.0.0.0/0", "tcp 443-443 0.0.0.0/0"}
SSH = f"tcp 22-22 {ADMIN}"
# What seed 3's matrix comes to, written out: role -> what comes in, what goes out to whom.
MATRIX: dict[str, tuple[set[str], set[str]]] = {
    "kafka": (
        {SSH, "tcp 9092-9092 processor", "tcp 9092-9092 producers", "tcp 9092-9092 api"}
        | {"tcp 9092-9092 archiver", "tcp 9093-9094 kafka"},
        {"tcp 9093-9094 kafka"},
    ),
    "mongodb": (
        {SSH, "tcp 27017-27017 processor", "tcp 27017-27017 api", "tcp 27017-27017 mongodb"}
        | {"tcp 27017-27017 archiver"},
        {"tcp 27017-27017 mongodb"},
    ),
    "redis": ({SSH, "tcp 6379-6379 processor", "tcp 6379-6379 api"}, set()),
    "archiver": (
        {SSH, "tcp 9110-9110 processor"},
        {"tcp 9092-9092 kafka", "tcp 27017-27017 mongodb"},
    ),
    "simulator": ({SSH, "tcp 8444-8444 producers"}, set()),
    "producers": (
        {SSH, "tcp 9101-9109 processor"},
        {"tcp 9092-9092 kafka", "tcp 8444-8444 simulator"},
    ),
    "api": (
        {SSH, f"tcp 8443-8443 {ADMIN}"},
        {"tcp 9092-9092 kafka", "tcp 27017-27017 mongodb", "tcp 6379-6379 redis"},
    ),
    "processor": (
        {SSH},
        {"tcp 9092-9092 kafka", "tcp 27017-27017 mongodb", "tcp 6379-6379 redis"}
        | {"tcp 9101-9109 producers", "tcp 9110-9110 archiver"},
    ),
}
ACCOUNT = "123456789012"
BUCKET = f"{INSTANCE}-{ACCOUNT}-{REGION}"
ARCHIVE = f"{BUCKET}-archive"
DATABASE = INSTANCE.replace("-", "_")
DATABASE_ARN = f"arn:aws:glue:{REGION}:{ACCOUNT}:database/{DATABASE}"
# Each run is refused a call and goes no further: how far it came, why, and what it must say.
KILLED = [
    ("ecr:PutLifecyclePolicy", 1, "ServerException", "PutLifecyclePolicy"),
    # That of the archive's bucket: the other one is whole.
    ("s3:PUT lifecycle", 2, "AccessDenied", "a permission is missing"),
    ("ec2:ModifyVpcAttribute", 1, "ExpiredToken", "the session has expired"),
    ("ec2:AttachInternetGateway", 1, "UnauthorizedOperation", "a permission is missing"),
    ("ec2:RunInstances", 2, "VcpuLimitExceeded", "quota of vCPUs is used up"),
    ("ec2:AttachVolume", 1, "IncorrectState", "Failed to attach volume"),
]


@pytest.fixture(scope="module")
def killed(aws: Aws) -> list[Result]:
    """Provision, ended by AWS at one place after the other, and at last not at all."""
    results = []
    for action, number, code, _ in KILLED:
        aws.moto.calls.clear()
        aws.moto.refuse[action] = (number, code)
        results.append(aws.run("playbooks/deploy/provision.yml", **FLEET))
        aws.moto.refuse.clear()
    # Exactly what the hosts need, one of which runs.
    aws.moto.vcpus = 4.0
    return [*results, aws.run("playbooks/deploy/provision.yml", **FLEET)]


@pytest.fixture(scope="module")
def made(aws: Aws, killed: list[Result]) -> Aws:
    """The account with the fleet."""
    assert killed[-1].code == 0, killed[-1].output
    return aws


def test_a_run_that_was_killed_says_why_and_the_next_one_goes_on(killed: list[Result]) -> None:
    for result, (action, _, _, says) in zip(killed, KILLED, strict=False):
        assert result.code != 0, action
        assert says in result.words, result.output[-3000:]
        assert "it goes on from here" in result.words
        assert "Traceback" not in result.output
        # The account had no such quota yet, and no run was refused for it.
        assert "Whether the quota of vCPUs suffices is not known" in result.words
    assert killed[-1].code == 0
    assert "quota" not in killed[-1].words


def test_a_second_run_changes_nothing_though_there_is_a_newer_image(made: Aws) -> None:
    before = made.instances()
    made.client("ssm").put_parameter(
        Name="/test/ami", Value=newer(made), Type="String", Overwrite=True
    )
    made.moto.calls.clear()
    result = made.run("playbooks/deploy/provision.yml", **FLEET)
    assert (result.code, result.changed) == (0, 0), result.output
    assert made.moto.calls["servicequotas:GetServiceQuota"] == 0
    images = {name: host["ImageId"] for name, host in made.instances().items()}
    assert images == dict.fromkeys(before, made.image)
    asked = {action.split(":")[1] for action in made.moto.calls}
    verbs = r"(Describe|List|Get|GET|HEAD)"
    assert [name for name in asked if not re.match(verbs, name)] == []


def newer(aws: Aws) -> str:
    """An image that is not the one that hosts were first made from."""
    found = aws.client("ec2").describe_images(Owners=["amazon"])["Images"]
    return str(next(x["ImageId"] for x in found if x["ImageId"] != aws.image))


def test_what_was_cut_short_was_finished(made: Aws) -> None:
    """The settings that come after a resource was made, which killed runs never reached."""
    ec2, ecr, s3 = made.client("ec2"), made.client("ecr"), made.client("s3")
    repository = ecr.describe_repositories()["repositories"][0]
    assert repository["repositoryName"] == f"{INSTANCE}/millrace"
    assert repository["imageTagMutability"] == "IMMUTABLE"
    assert repository["imageScanningConfiguration"] == {"scanOnPush": True}
    policy = ecr.get_lifecycle_policy(repositoryName=repository["repositoryName"])
    rule = json.loads(policy["lifecyclePolicyText"])["rules"][0]
    assert rule["selection"]["countType"] == "imageCountMoreThan"

    for name in (BUCKET, ARCHIVE):
        bucket = {"Bucket": name}
        blocked = s3.get_public_access_block(**bucket)["PublicAccessBlockConfiguration"]
        assert list(blocked.values()) == [True] * 4
        encryption = s3.get_bucket_encryption(**bucket)["ServerSideEncryptionConfiguration"]
        by_default = encryption["Rules"][0]["ApplyServerSideEncryptionByDefault"]
        assert by_default["SSEAlgorithm"] == "AES256"
        denied = json.loads(s3.get_bucket_policy(**bucket)["Policy"])["Statement"][0]
        assert (denied["Effect"], denied["Principal"]) == ("Deny", "*")
        assert denied["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
        assert denied["Resource"] == [f"arn:aws:s3:::{name}", f"arn:aws:s3:::{name}/*"]
    [rule] = s3.get_bucket_lifecycle_configuration(Bucket=BUCKET)["Rules"]
    # Objects of Systems Manager's sessions are named after the instance: secrets, without versions.
    assert (rule["Filter"]["Prefix"], rule["Expiration"]["Days"]) == ("i-", 1)
    assert "Status" not in s3.get_bucket_versioning(Bucket=BUCKET)
    [rule] = s3.get_bucket_lifecycle_configuration(Bucket=ARCHIVE)["Rules"]
    assert rule["Filter"]["Prefix"] == ""
    assert rule["Transitions"] == [{"Days": 30, "StorageClass": "INTELLIGENT_TIERING"}]
    assert rule["NoncurrentVersionExpiration"] == {"NoncurrentDays": 7}
    assert rule["Expiration"] == {"ExpiredObjectDeleteMarker": True}
    assert rule["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 1}
    assert s3.get_bucket_versioning(Bucket=ARCHIVE)["Status"] == "Enabled"
    assert [x["Name"] for x in made.client("glue").get_databases()["DatabaseList"]] == [DATABASE]

    mine = [{"Name": "tag:Environment", "Values": [INSTANCE]}]
    vpc = ec2.describe_vpcs(Filters=mine)["Vpcs"][0]["VpcId"]
    names = ec2.describe_vpc_attribute(VpcId=vpc, Attribute="enableDnsHostnames")
    assert names["EnableDnsHostnames"]["Value"] is True
    gateways = ec2.describe_internet_gateways()["InternetGateways"]
    assert [[x["VpcId"] for x in gateway["Attachments"]] for gateway in gateways] == [[vpc]]


def test_every_resource_says_whose_it_is(made: Aws) -> None:
    ec2, iam = made.client("ec2"), made.client("iam")
    mine = [{"Name": "tag:Environment", "Values": [INSTANCE]}]
    repository = made.client("ecr").describe_repositories()["repositories"][0]["repositoryArn"]
    found: list[Any] = [
        *made.instances().values(),
        *ec2.describe_vpcs(Filters=mine)["Vpcs"],
        *ec2.describe_subnets(Filters=mine)["Subnets"],
        *ec2.describe_internet_gateways()["InternetGateways"],
        *ec2.describe_route_tables(Filters=mine)["RouteTables"],
        *ec2.describe_vpc_endpoints()["VpcEndpoints"],
        *ec2.describe_volumes(Filters=mine)["Volumes"],
        *[
            x
            for x in ec2.describe_security_groups()["SecurityGroups"]
            if INSTANCE in x["GroupName"]
        ],
        *ec2.describe_key_pairs()["KeyPairs"],
        *[iam.list_role_tags(RoleName=x["RoleName"]) for x in iam.list_roles()["Roles"]],
        made.client("ecr").list_tags_for_resource(resourceArn=repository),
        *[made.client("s3").get_bucket_tagging(Bucket=name) for name in (BUCKET, ARCHIVE)],
        glue_tags(made),
    ]
    # Volumes: two of systems, one of data.
    assert len(found) == 2 + 1 + 2 + 1 + 2 + 1 + 3 + 8 + 1 + 2 + 1 + 2 + 1
    for item in found:
        said = tags(item)
        assert said["Project"] == "millrace", item
        assert said["Environment"] == INSTANCE
        assert said["Owner"] == "tests"
        assert said["ExpiresAt"] == "never"
        assert said["Role"]
        assert said["Name"]


def glue_tags(aws: Aws) -> dict[str, Any]:
    """The database's tags as other services say them."""
    found = aws.client("glue").get_tags(ResourceArn=DATABASE_ARN)["Tags"]
    return {"Tags": [{"Key": key, "Value": value} for key, value in found.items()]}


def test_each_host_is_as_the_fleet_says(made: Aws) -> None:
    ec2, hosts = made.client("ec2"), made.instances()
    kinds = {name: host["InstanceType"] for name, host in hosts.items()}
    assert kinds == {"app": "t3.micro", "data": "t3.small"}
    for name, host in hosts.items():
        options = host["MetadataOptions"]
        assert (options["HttpTokens"], options["HttpPutResponseHopLimit"]) == ("required", 1)
        answer = ec2.describe_instance_attribute(
            InstanceId=host["InstanceId"], Attribute="disableApiTermination"
        )
        holds_data = name == "data"
        assert answer["DisableApiTermination"]["Value"] is holds_data, name
        assert host["ImageId"] == made.image
        assert host["PublicIpAddress"]
        disks = {x["DeviceName"]: x["Ebs"] for x in host["BlockDeviceMappings"]}
        assert len(disks) == 1 + holds_data, name
        for device, disk in disks.items():
            volume = ec2.describe_volumes(VolumeIds=[disk["VolumeId"]])["Volumes"][0]
            size = 30 if device == "/dev/sdf" else 20
            assert (volume["Encrypted"], volume["VolumeType"], volume["Size"]) == (
                True,
                "gp3",
                size,
            )
            # Data outlives its host, the system does not.
            assert disk["DeleteOnTermination"] is (device != "/dev/sdf")
    # Without it a T3 host would begin without a credit.
    launch = made.moto.said["ec2:RunInstances"]
    assert launch["CreditSpecification.CpuCredits"] == ["unlimited"]
    # The operator's policy lets neither be launched without our tag.
    kinds = [launch[f"TagSpecification.{n}.ResourceType"] for n in (1, 2)]
    assert sorted(kinds) == [["instance"], ["volume"]]


def groups_of(aws: Aws) -> dict[str, tuple[set[str], set[str]]]:
    """The rules that AWS has, in the words of the matrix."""
    found = aws.client("ec2").describe_security_groups()["SecurityGroups"]
    found = [group for group in found if group["GroupName"].startswith(f"{INSTANCE}-")]
    names = {group["GroupId"]: group["GroupName"].removeprefix(f"{INSTANCE}-") for group in found}

    def lines(permissions: list[dict[str, Any]]) -> set[str]:
        return {
            f"{x['IpProtocol']} {x.get('FromPort')}-{x.get('ToPort')} {peer}"
            for x in permissions
            for peer in [
                *[y["CidrIp"] for y in x["IpRanges"]],
                *[names[y["GroupId"]] for y in x["UserIdGroupPairs"]],
            ]
        }

    return {
        names[group["GroupId"]]: (
            lines(group["IpPermissions"]),
            lines(group["IpPermissionsEgress"]),
        )
        for group in found
    }


def test_the_security_groups_are_the_matrix(made: Aws) -> None:
    assert groups_of(made) == {role: (into, out | OUT) for role, (into, out) in MATRIX.items()}


def test_a_host_may_read_its_own_secrets_and_nobody_elses(made: Aws) -> None:
    iam = made.client("iam")
    assert_roles_are_bounded(made, 2)
    profile = made.instances()["data"]["IamInstanceProfile"]["Arn"].rsplit("/", 1)[1]
    assert profile == f"{INSTANCE}-{REGION}-archiver-kafka-mongodb-redis"
    assert iam.list_attached_role_policies(RoleName=profile)["AttachedPolicies"] == []
    document = iam.get_role_policy(RoleName=profile, PolicyName="millrace")["PolicyDocument"]
    allowed: dict[str, Any] = {}
    for statement in document["Statement"]:
        for action in statement["Action"]:
            where = statement["Resource"]
            allowed[action] = allowed.get(action, []) + where if where != "*" else where
    here = f"{REGION}:{ACCOUNT}"
    own = ("archiver", "kafka", "mongodb", "redis")
    parameters = [f"arn:aws:ssm:{here}:parameter/{INSTANCE}/{role}/*" for role in own]
    assert allowed["ssm:GetParameter"] == parameters
    bucket = f"arn:aws:s3:::{BUCKET}"
    objects = [f"{bucket}/{role}/*" for role in own]
    assert allowed["s3:GetObject"] == [*objects, f"arn:aws:s3:::{ARCHIVE}/*"]
    assert DATABASE_ARN in allowed["glue:UpdateTable"]
    assert allowed["ecr:BatchGetImage"] == [f"arn:aws:ecr:{here}:repository/{INSTANCE}/millrace"]
    assert [x for x, where in allowed.items() if where == "*"] == ["ecr:GetAuthorizationToken"]


@pytest.mark.parametrize("playbook", ["deploy/hosts", "engine"])
def test_a_host_without_its_volume_is_left_alone(made: Aws, playbook: str) -> None:
    """Otherwise services would start empty on the system's disk."""
    where = {
        "VolumeId": made.volumes()["data"],
        "InstanceId": made.instances()["data"]["InstanceId"],
        "Device": "/dev/sdf",
    }
    made.client("ec2").detach_volume(**where)
    result = made.run(f"playbooks/{playbook}.yml", **FLEET)
    made.client("ec2").attach_volume(**where)
    assert result.code != 0
    assert "gives data a data volume of 30 GB, and EC2 says that none is attached" in result.words


def damage(aws: Aws, hosts: dict[str, Any]) -> None:
    """By hand: open a door, take a tag, a group and a route, allow old tokens, widen a policy."""
    ec2 = aws.client("ec2")
    groups = ec2.describe_security_groups(
        Filters=[{"Name": "group-name", "Values": [f"{INSTANCE}-kafka"]}]
    )["SecurityGroups"]
    door = {"IpProtocol": "tcp", "FromPort": 1, "ToPort": 2, "CidrIp": "0.0.0.0/0"}
    ec2.authorize_security_group_ingress(GroupId=groups[0]["GroupId"], **door)
    app = hosts["app"]["InstanceId"]
    ec2.delete_tags(Resources=[app], Tags=[{"Key": "Owner"}])
    ec2.modify_instance_attribute(InstanceId=app, Groups=[groups[0]["GroupId"]])
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [everything]})
    # All of them: moto forgets those that are not named.
    ec2.modify_instance_metadata_options(
        InstanceId=app,
        HttpTokens="optional",
        HttpEndpoint="enabled",
        HttpPutResponseHopLimit=1,
        HttpProtocolIpv6="disabled",
        InstanceMetadataTags="disabled",
    )
    endpoint = ec2.describe_vpc_endpoints()["VpcEndpoints"][0]
    ec2.modify_vpc_endpoint(
        VpcEndpointId=endpoint["VpcEndpointId"], RemoveRouteTableIds=endpoint["RouteTableIds"][:1]
    )
    role = f"{INSTANCE}-{REGION}-archiver-kafka-mongodb-redis"
    # As one that was made before roles were bounded.
    aws.client("iam").delete_role_permissions_boundary(RoleName=role)
    aws.client("iam").put_role_policy(RoleName=role, PolicyName="millrace", PolicyDocument=document)


THEIRS = {"Key": "CostCenter", "Value": "42"}


def tag_by_hand(aws: Aws) -> None:
    """Somebody says on everything who pays for it."""
    ec2, iam, s3 = aws.client("ec2"), aws.client("iam"), aws.client("s3")
    found = ec2.describe_tags(Filters=[{"Name": "value", "Values": [INSTANCE]}])["Tags"]
    ec2.create_tags(Resources=sorted({x["ResourceId"] for x in found}), Tags=[THEIRS])
    for role in iam.list_roles()["Roles"]:
        iam.tag_role(RoleName=role["RoleName"], Tags=[THEIRS])
    for item in iam.list_instance_profiles()["InstanceProfiles"]:
        iam.tag_instance_profile(InstanceProfileName=item["InstanceProfileName"], Tags=[THEIRS])
    for name in (BUCKET, ARCHIVE):
        kept = s3.get_bucket_tagging(Bucket=name)["TagSet"]
        s3.put_bucket_tagging(Bucket=name, Tagging={"TagSet": [*kept, THEIRS]})
    theirs = {THEIRS["Key"]: THEIRS["Value"]}
    aws.client("glue").tag_resource(ResourceArn=DATABASE_ARN, TagsToAdd=theirs)
    ecr = aws.client("ecr")
    repository = ecr.describe_repositories()["repositories"][0]["repositoryArn"]
    ecr.tag_resource(resourceArn=repository, tags=[THEIRS])


def theirs(aws: Aws) -> list[str]:
    """What has that tag."""
    ec2, iam, ecr = aws.client("ec2"), aws.client("iam"), aws.client("ecr")
    found = ec2.describe_tags(Filters=[{"Name": "key", "Values": [THEIRS["Key"]]}])["Tags"]
    repository = ecr.describe_repositories()["repositories"][0]["repositoryArn"]
    others: dict[str, Any] = {
        "bucket": aws.client("s3").get_bucket_tagging(Bucket=BUCKET),
        "archive": aws.client("s3").get_bucket_tagging(Bucket=ARCHIVE),
        "database": glue_tags(aws),
        "repository": ecr.list_tags_for_resource(resourceArn=repository),
    }
    for role in iam.list_roles()["Roles"]:
        others[role["Arn"]] = iam.list_role_tags(RoleName=role["RoleName"])
    for item in iam.list_instance_profiles()["InstanceProfiles"]:
        name = item["InstanceProfileName"]
        answer = iam.get_instance_profile(InstanceProfileName=name)
        others[item["Arn"]] = answer["InstanceProfile"]
    tagged = [name for name, item in others.items() if THEIRS["Key"] in tags(item)]
    return sorted([x["ResourceId"] for x in found] + tagged)


def test_damage_is_repaired_a_host_replaced_with_its_data_and_a_private_one_added(
    made: Aws,
) -> None:
    before, volumes = made.instances(), made.volumes()
    damage(made, before)
    tag_by_hand(made)
    tagged = theirs(made)
    hidden = {"name": "api-2", "roles": ["api"], "type": "t3.micro", "subnet": "private"}
    larger = {
        "millrace_fleet": [HOSTS[0], HOSTS[1] | {"type": "m5.large"}, hidden],
        "millrace_connection": "ssm",
        "millrace_expires_at": "2099-12-31",
        "millrace_budget_usd": 50,
        "millrace_budget_email": "me@example.com",
    }
    moved = [HOSTS[0] | {"subnet": "private"}, *larger["millrace_fleet"][1:]]
    nowhere = {"millrace_fleet": moved, "millrace_ami_parameter": "/no/such"}
    refused = made.run("playbooks/deploy/provision.yml", **larger | nowhere)
    assert refused.code != 0
    assert "data is t3.small and should be m5.large" in refused.words
    assert f"app is in {INSTANCE}-public-a and should be in {INSTANCE}-private-a" in refused.words
    # Seen before a host is removed to be made anew.
    assert "millrace_ami_parameter names no parameter of this region" in refused.words
    assert "-e replace=data" in refused.words
    assert made.instances().keys() == before.keys()

    # Three hosts of two each: the one that is replaced is not counted twice.
    made.moto.vcpus = 6.0
    result = made.run("site.yml", tags="provision", replace="data", **larger)
    assert result.code == 0, result.output
    again = made.run("playbooks/deploy/provision.yml", **larger)
    assert (again.code, again.changed) == (0, 0), again.output

    after = made.instances()
    assert after.keys() == before.keys() | {"api-2"}
    assert after["app"]["InstanceId"] == before["app"]["InstanceId"]
    assert tags(after["app"])["Owner"] == "tests"
    assert after["app"]["MetadataOptions"]["HttpTokens"] == "required"
    assert after["app"]["ImageId"] == made.image
    assert after["data"]["ImageId"] == newer(made)
    assert len(after["app"]["SecurityGroups"]) == 4
    assert after["data"]["InstanceId"] != before["data"]["InstanceId"]
    assert after["data"]["InstanceType"] == "m5.large"
    launches = {x["InstanceType"][0]: x for x in made.moto.launches[-2:]}
    assert launches["t3.micro"]["CreditSpecification.CpuCredits"] == ["unlimited"]
    # Not burstable: AWS would not launch it with a choice of credits.
    assert "CreditSpecification.CpuCredits" not in launches["m5.large"]
    assert made.volumes() == volumes
    disks = [x["Ebs"]["VolumeId"] for x in after["data"]["BlockDeviceMappings"]]
    assert volumes["data"] in disks
    assert "PublicIpAddress" not in after["api-2"]
    assert_a_way_out(made, after["api-2"]["SubnetId"])
    assert_all_of_it_expires(made, "2099-12-31")
    # moto remembers the tags of what is gone: the host that was replaced and its disk.
    assert theirs(made) == tagged

    budget = made.client("budgets").describe_budgets(AccountId="123456789012")["Budgets"][0]
    assert float(budget["BudgetLimit"]["Amount"]) == 50
    role = f"{INSTANCE}-{REGION}-archiver-kafka-mongodb-redis"
    policy = made.client("iam").get_role_policy(RoleName=role, PolicyName="millrace")
    assert "*" not in [x["Action"] for x in policy["PolicyDocument"]["Statement"]]
    assert_roles_are_bounded(made, 3)
    # Over SSM no port is open for SSH.
    rules = {role: (into - {SSH}, out | OUT) for role, (into, out) in MATRIX.items()}
    assert groups_of(made) == rules


def assert_roles_are_bounded(aws: Aws, number: int) -> None:
    """Each is under our path, and what its policy may come to say has a limit."""
    iam = aws.client("iam")
    roles = [iam.get_role(RoleName=x["RoleName"])["Role"] for x in iam.list_roles()["Roles"]]
    assert len(roles) == number
    for role in roles:
        assert role["Path"] == f"/millrace/{REGION}/{INSTANCE}/"
        limit = role["PermissionsBoundary"]["PermissionsBoundaryArn"]
        assert limit == "arn:aws:iam::123456789012:policy/millrace-hosts"


def assert_all_of_it_expires(aws: Aws, day: str) -> None:
    """Another last day reaches what is no part of the network too."""
    ec2, iam, ecr = aws.client("ec2"), aws.client("iam"), aws.client("ecr")
    repository = ecr.describe_repositories()["repositories"][0]["repositoryArn"]
    names = [x["InstanceProfileName"] for x in iam.list_instance_profiles()["InstanceProfiles"]]
    profiles = [iam.get_instance_profile(InstanceProfileName=name) for name in names]
    found: list[Any] = [
        *ec2.describe_key_pairs()["KeyPairs"],
        *[iam.list_role_tags(RoleName=x["RoleName"]) for x in iam.list_roles()["Roles"]],
        *[x["InstanceProfile"] for x in profiles],
        ecr.list_tags_for_resource(resourceArn=repository),
        *[aws.client("s3").get_bucket_tagging(Bucket=name) for name in (BUCKET, ARCHIVE)],
        glue_tags(aws),
    ]
    assert [tags(item)["ExpiresAt"] for item in found] == [day] * 11
    endpoints = [x for x in ec2.describe_vpc_endpoints()["VpcEndpoints"] if x["State"] != "deleted"]
    assert [len(x["RouteTableIds"]) for x in endpoints] == [2]


def assert_a_way_out(aws: Aws, subnet: str) -> None:
    """The subnet's way out is the NAT gateway, which has an address and says whose it is."""
    ec2 = aws.client("ec2")
    nat = ec2.describe_nat_gateways()["NatGateways"][0]
    inside = [{"Name": "association.subnet-id", "Values": [subnet]}]
    routes = ec2.describe_route_tables(Filters=inside)["RouteTables"][0]["Routes"]
    ways = {x["DestinationCidrBlock"]: x for x in routes if "DestinationCidrBlock" in x}
    assert ways["0.0.0.0/0"]["NatGatewayId"] == nat["NatGatewayId"]
    for item in (nat, ec2.describe_addresses()["Addresses"][0]):
        assert tags(item)["Environment"] == INSTANCE


def test_a_plan_shows_what_would_be_done_and_what_it_costs(made: Aws) -> None:
    more = {"name": "more", "roles": ["api"], "type": "x"}
    renumbered = HOSTS[1] | {"node_id": 2}
    result = made.run("playbooks/plan.yml", millrace_fleet=[HOSTS[0], renumbered, more])
    assert result.code == 0, result.output
    assert re.search(r"host\s+app t3.micro\s+change: tags", result.output)
    assert re.search(r"host\s+more x\s+create", result.output)
    assert re.search(rf"budget\s+{INSTANCE}-{REGION}\s+change: remove", result.output)
    assert "data is m5.large and should be t3.small" in result.words
    assert "data has the node_id 1 and should have 2" in result.words
    assert re.search(rf"bucket\s+{ARCHIVE}\s+change: settings, tags", result.output)
    assert re.search(rf"Glue database\s+{DATABASE}\s+change: tags", result.output)
    assert "the archive in S3, 0.023 USD a GB-month" in result.words
    assert "No price is known of x" in result.words
    # A small, a micro; 90 GB; 3 addresses.
    month = 730 * (0.0208 + 0.0104) + 90 * 0.08 + 3 * 0.005 * 730
    assert f"{month:.2f} USD a month" in result.output
    assert (
        "beyond what the credits of hosts cover, unlimited, t3: 0.05 USD a vCPU-h" in result.words
    )


def test_stop_and_start_keep_hosts_and_private_addresses(made: Aws) -> None:
    before = {name: x["PrivateIpAddress"] for name, x in made.instances().items()}
    assert made.run("playbooks/stop.yml").code == 0
    assert {x["State"]["Name"] for x in made.instances().values()} == {"stopped"}
    assert made.run("playbooks/start.yml").code == 0
    assert {x["State"]["Name"] for x in made.instances().values()} == {"running"}
    assert {name: x["PrivateIpAddress"] for name, x in made.instances().items()} == before


def test_a_forgotten_environment_is_listed_and_only_an_expired_one_removed(made: Aws) -> None:
    result = made.run("playbooks/expire.yml", confirm=INSTANCE)
    assert result.code != 0
    # The day was changed when the private host was added.
    assert re.search(rf"{INSTANCE}\s+2099-12-31\s+tests", result.output)
    assert "Nothing was removed" in result.words
    assert len(made.instances()) == 3


def test_a_volume_grows_and_the_boundary_is_renewed_as_the_page_says(made: Aws) -> None:
    made.page("aws iam create-policy-version", {"AWS_EXECUTION_ENV": OWN_AGENT}, account=ACCOUNT)
    arn = f"arn:aws:iam::{ACCOUNT}:policy/millrace-hosts"
    assert made.client("iam").get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"] == "v2"
    ec2 = made.client("ec2")
    volume = next(iter(made.volumes().values()))
    before = ec2.describe_volumes(VolumeIds=[volume])["Volumes"][0]["Size"]
    made.page("aws ec2 modify-volume", id=volume, GB=str(before + 10))
    assert ec2.describe_volumes(VolumeIds=[volume])["Volumes"][0]["Size"] == before + 10


def test_teardown_leaves_nothing(made: Aws) -> None:
    refused = made.run("teardown.yml", confirm="another")
    assert refused.code != 0
    assert "Nothing was removed" in refused.words
    there = made.everything()
    predicted = made.run("teardown.yml", check=True, delete_data=INSTANCE)
    assert predicted.code == 0, predicted.output
    assert predicted.changed > 10, predicted.output
    assert "Nothing was removed" in predicted.words
    assert made.everything() == there
    assert len(made.instances()) == 3

    volumes = made.volumes()
    s3 = made.client("s3")
    # They refuse whoever comes without TLS, as moto's clients do.
    for name in (BUCKET, ARCHIVE):
        s3.delete_bucket_policy(Bucket=name)
    s3.put_object(Bucket=BUCKET, Key="kafka/backup", Body=b"data")
    # A version, the one before it, and one that was removed: nothing that a list of objects has.
    for body in (b"old", b"new"):
        s3.put_object(Bucket=ARCHIVE, Key="quotes/data/part.parquet", Body=body)
    s3.delete_object(Bucket=ARCHIVE, Key="quotes/data/part.parquet")
    assert "Contents" not in s3.list_objects_v2(Bucket=ARCHIVE)
    table = {"Name": "quotes", "Parameters": {"table_type": "ICEBERG"}}
    made.client("glue").create_table(DatabaseName=DATABASE, TableInput=table)
    # AWS is slow: the first try is refused.
    made.moto.late["ec2:DeleteVpc"] = "DependencyViolation"
    result = made.run("teardown.yml", confirm=INSTANCE)
    assert result.code == 0, result.output
    assert made.everything().keys() == {"volumes", "buckets", "databases"}
    versions = s3.list_object_versions(Bucket=ARCHIVE)
    assert (len(versions["Versions"]), len(versions["DeleteMarkers"])) == (2, 1)
    kept = f"bucket {BUCKET}, bucket {ARCHIVE}, Glue database {DATABASE}"
    assert kept in result.words
    assert made.volumes() == volumes
    assert all(volume in result.words for volume in volumes.values())

    result = made.run("teardown.yml", confirm=INSTANCE, delete_data=INSTANCE)
    assert result.code == 0, result.output
    assert made.everything() == {}
    again = made.run("teardown.yml", confirm=INSTANCE)
    assert (again.code, again.changed) == (0, 0), again.output


def test_the_operators_policy_allows_every_call(made: Aws) -> None:
    """The options of the policy included, which the recorded fleet has no need of."""
    document = json.loads((ROOT / "docs" / "aws-operator-policy.json").read_text())
    allowed = [action for statement in document["Statement"] for action in statement["Action"]]
    # These are named after the request, or after other actions; or anybody may ask.
    others = ("s3:", "budgets:", "sts:")
    seen = {action for action in made.moto.seen if not action.startswith(others)}
    assert {"ec2:ModifyInstanceMetadataOptions", "ec2:DescribeInstanceTypes"} <= seen
    refused = [x for x in seen if not any(fnmatch(x, pattern) for pattern in allowed)]
    assert sorted(refused) == []
