#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: all resources of an environment on AWS, from all services."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

with contextlib.suppress(ImportError):  # AnsibleAWSModule says what is missing
    from botocore.exceptions import ClientError

from ansible.module_utils import aws_shapes as shapes
from ansible.module_utils.causes import told
from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule

DOCUMENTATION = r"""
module: aws_environment_info
short_description: All resources of an environment on AWS
description:
  - Queries EC2, IAM, ECR, S3, Glue and Budgets in parallel, many times faster than one task per
    resource.
  - Resources in the environment's VPC are included even if their tags are not set yet.
  - Changes nothing.
options:
  instance:
    description: Name of the environment, which is the tag Environment.
    type: str
    required: true
  boundary:
    description: Name of the IAM roles' permissions boundary. If empty, it is not looked up.
    type: str
    default: ""
extends_documentation_fragment:
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
  - millrace
"""

EXAMPLES = r"""
- name: Find the environment's resources
  aws_environment_info:
    region: us-east-1
    instance: millrace
"""

RETURN = r""" # """

Item = dict[str, Any]
ALIVE = ("pending", "running", "stopping", "stopped")


def parallel(function: Callable[[Item], Item], items: list[Item]) -> list[Item]:
    """Run a request for each item in parallel."""
    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(function, items))


class Environment:
    """Queries one environment of one region."""

    def __init__(self, module: Any) -> None:
        """Make one client per service; they are safe to use from several threads."""
        self.instance: str = module.params["instance"]
        self.region: str = module.region
        services = ("ec2", "iam", "ecr", "s3", "glue", "budgets", "sts")
        self.clients = {name: module.client(name) for name in services}
        # Wrong credentials make this first request fail.
        self.account: str = self.clients["sts"].get_caller_identity()["Account"]
        self.mine = [
            {"Name": "tag:Project", "Values": ["millrace"]},
            {"Name": "tag:Environment", "Values": [self.instance]},
        ]

    def every(self, service: str, operation: str, key: str, **arguments: Any) -> list[Item]:
        """All pages of a result."""
        pages = self.clients[service].get_paginator(operation).paginate(**arguments)
        return [item for page in pages for item in page[key]]

    def ec2(self, operation: str, key: str, vpcs: tuple[str, ...] = (), by: str = "vpc-id") -> Any:
        """Resources that belong to the environment by their tags, or by their VPC."""
        found = self.every("ec2", operation, key, Filters=self.mine)
        if vpcs:
            inside = [{"Name": by, "Values": list(vpcs)}]
            found += self.every("ec2", operation, key, Filters=inside)
        unique = [item for place, item in enumerate(found) if item not in found[:place]]
        return [item for item in unique if str(item.get("State")).lower() not in shapes.GONE]

    def instances(self) -> list[Item]:
        """Instances that are not terminated, each with whether it is protected from termination."""
        reservations = self.every("ec2", "describe_instances", "Reservations", Filters=self.mine)
        found = [item for reservation in reservations for item in reservation["Instances"]]

        def described(item: Item) -> Item:
            answer = self.clients["ec2"].describe_instance_attribute(
                InstanceId=item["InstanceId"], Attribute="disableApiTermination"
            )
            return shapes.instance(item, protected=answer["DisableApiTermination"]["Value"])

        alive = [item for item in found if item["State"]["Name"] in ALIVE]
        return sorted(parallel(described, alive), key=lambda item: str(item["name"]))

    def network(self) -> Item:
        """The VPC, everything in it, and the data volumes."""
        vpcs = self.ec2("describe_vpcs", "Vpcs")
        ids = tuple(vpc["VpcId"] for vpc in vpcs)
        gateway = "attachment.vpc-id"
        asked: dict[str, Any] = {
            "subnets": ("describe_subnets", "Subnets", ids),
            "gateways": ("describe_internet_gateways", "InternetGateways", ids, gateway),
            "tables": ("describe_route_tables", "RouteTables", ids),
            "endpoints": ("describe_vpc_endpoints", "VpcEndpoints", ids),
            "nats": ("describe_nat_gateways", "NatGateways"),
            "groups": ("describe_security_groups", "SecurityGroups", ids),
            "volumes": ("describe_volumes", "Volumes"),
        }
        with ThreadPoolExecutor(8) as pool:
            started = {name: pool.submit(self.ec2, *call) for name, call in asked.items()}
            found = {name: call.result() for name, call in started.items()}
        addresses = self.clients["ec2"].describe_addresses(Filters=self.mine)["Addresses"]
        names = {group["GroupId"]: group["GroupName"] for group in found["groups"]}
        pick = shapes.pick
        return {
            "vpcs": [
                pick(x, id="VpcId", cidr="CidrBlock") | {"hostnames": self.hostnames(x["VpcId"])}
                for x in vpcs
            ],
            "subnets": [
                pick(x, id="SubnetId", cidr="CidrBlock", zone="AvailabilityZone", vpc="VpcId")
                for x in found["subnets"]
            ],
            "gateways": [
                pick(x, id="InternetGatewayId")
                | {"vpc": next((a["VpcId"] for a in x["Attachments"]), "")}
                for x in found["gateways"]
            ],
            "tables": [shapes.route_table(x) for x in found["tables"] if not shapes.is_main(x)],
            "endpoints": [
                pick(x, id="VpcEndpointId", service="ServiceName")
                | {"tables": sorted(x.get("RouteTableIds", []))}
                for x in found["endpoints"]
            ],
            "nats": [pick(x, id="NatGatewayId", subnet="SubnetId") for x in found["nats"]],
            "addresses": [pick(x, id="AllocationId", address="PublicIp") for x in addresses],
            "groups": [
                shapes.group(x, names) for x in found["groups"] if x["GroupName"] != "default"
            ],
            "disks": {x["VolumeId"]: x["Size"] for x in found["volumes"]},
            # Root volumes are deleted with their instances.
            "volumes": [
                shapes.volume(x) for x in found["volumes"] if shapes.tags(x).get("Role") == "data"
            ],
        }

    def hostnames(self, vpc: str) -> bool:
        """Whether hosts of a VPC get names: the last attribute set when a VPC is created."""
        answer = self.clients["ec2"].describe_vpc_attribute(
            VpcId=vpc, Attribute="enableDnsHostnames"
        )
        return bool(answer["EnableDnsHostnames"]["Value"])

    def access(self) -> Item:
        """IAM roles, instance profiles and the key pair."""
        iam, path = self.clients["iam"], f"/millrace/{self.region}/{self.instance}/"

        def role(item: Item) -> Item:
            name = item["RoleName"]
            inline = iam.list_role_policies(RoleName=name)["PolicyNames"]
            attached = iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]
            policies = {
                policy: iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]
                for policy in inline
            }
            # The list has neither tags nor the permissions boundary.
            found = iam.get_role(RoleName=name)["Role"]
            return {
                "name": name,
                "boundary": found.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn", ""),
                "policies": policies,
                "attached": [policy["PolicyName"] for policy in attached],
                "tags": shapes.tags(found),
            }

        def profile(item: Item) -> Item:
            name = item["InstanceProfileName"]
            # The list has no tags.
            tags = iam.get_instance_profile(InstanceProfileName=name)["InstanceProfile"]
            holds = [role["RoleName"] for role in item["Roles"]]
            return {"name": name, "roles": holds, "tags": shapes.tags(tags)}

        roles = self.every("iam", "list_roles", "Roles", PathPrefix=path)
        profiles = self.every("iam", "list_instance_profiles", "InstanceProfiles", PathPrefix=path)
        keys = self.clients["ec2"].describe_key_pairs(Filters=self.mine)["KeyPairs"]
        return {
            "roles": parallel(role, roles),
            "profiles": parallel(profile, profiles),
            "keys": [shapes.pick(x, id="KeyPairId", name="KeyName") for x in keys],
        }

    def bounded(self, name: str) -> str:
        """The managed policy of this name; nothing if there is none."""
        arn = f"arn:aws:iam::{self.account}:policy/{name}"
        try:
            return str(self.clients["iam"].get_policy(PolicyArn=arn)["Policy"]["Arn"])
        except self.clients["iam"].exceptions.NoSuchEntityException:
            return ""

    def stores(self) -> Item:
        """The image repository, buckets, the archive's database and the budget: found by name."""
        return {
            "repositories": self.repositories(),
            "buckets": self.buckets(),
            "databases": self.databases(),
            "budgets": self.budgets(),
        }

    def repositories(self) -> list[Item]:
        """The image repository. Its tags are set last when it is created."""
        ecr, name = self.clients["ecr"], f"{self.instance}/millrace"
        try:
            found = ecr.describe_repositories(repositoryNames=[name])["repositories"]
        except ecr.exceptions.RepositoryNotFoundException:
            return []
        arns = [item["repositoryArn"] for item in found]
        listed = [ecr.list_tags_for_resource(resourceArn=arn)["tags"] for arn in arns]
        return [{"name": name, "tags": shapes.tags({"Tags": tags})} for tags in listed]

    def buckets(self) -> list[Item]:
        """The bucket, and the archive's. Their lifecycle rules are set last."""
        name = f"{self.instance}-{self.account}-{self.region}"
        there = [item["Name"] for item in self.clients["s3"].list_buckets()["Buckets"]]
        return [self.bucket(item) for item in (name, f"{name}-archive") if item in there]

    def bucket(self, name: str) -> Item:
        """A bucket with its settings."""
        s3 = self.clients["s3"]

        def asked(operation: str, key: str, absent: str) -> list[Item]:
            try:
                return list(getattr(s3, operation)(Bucket=name)[key])
            except ClientError as error:
                if error.response["Error"]["Code"] == absent:
                    return []
                raise

        rules = asked("get_bucket_lifecycle_configuration", "Rules", "NoSuchLifecycleConfiguration")
        tags = asked("get_bucket_tagging", "TagSet", "NoSuchTagSet")
        versioning = s3.get_bucket_versioning(Bucket=name).get("Status", "")
        return {
            "name": name,
            "tags": shapes.tags({"Tags": tags}),
            "rules": [rule["ID"] for rule in rules],
            "versioned": versioning == "Enabled",
        }

    def databases(self) -> list[Item]:
        """The archive's database, if its tags say that it is; none for a user who may not see it.

        It has its tags from its first moment.
        """
        try:
            tags = shapes.glue_tags(
                self.clients["glue"], self.region, self.account, self.instance.replace("-", "_")
            )
        except ClientError as error:
            if error.response["Error"]["Code"] == "AccessDeniedException":
                return []
            raise
        mine = {"Project": "millrace", "Environment": self.instance}
        if tags is None or not mine.items() <= tags.items():
            return []
        return [{"name": self.instance.replace("-", "_"), "tags": tags}]

    def budgets(self) -> list[Item]:
        """The budget of the environment; none for a user who may not see budgets."""
        client = self.clients["budgets"]
        asked = {"AccountId": self.account, "BudgetName": f"{self.instance}-{self.region}"}
        try:
            budget = client.describe_budget(**asked)["Budget"]
            emails = shapes.emails(client, **asked)
        except ClientError as error:
            if error.response["Error"]["Code"] in ("NotFoundException", "AccessDeniedException"):
                return []
            raise
        limit = float(budget["BudgetLimit"]["Amount"])
        return [{"name": budget["BudgetName"], "usd": limit, "email": ", ".join(emails)}]

    def look(self) -> Item:
        """All resources of the environment."""
        with ThreadPoolExecutor(4) as pool:
            hosts = pool.submit(self.instances)
            started = [pool.submit(part) for part in (self.network, self.access, self.stores)]
            found: Item = {"account": self.account, "instances": hosts.result()}
            for part in started:
                found |= part.result()
        sizes = found.pop("disks")
        for host in found["instances"]:
            host["root_gb"] = sizes.get(host["root"], 0)
        return found


def main() -> None:
    """Run the module."""
    module = AnsibleAWSModule(
        argument_spec={
            "instance": {"type": "str", "required": True},
            "boundary": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    with told(module, "AWS did not list the resources"):
        environment = Environment(module)
        found = environment.look()
        if boundary := module.params["boundary"]:
            found["boundary"] = environment.bounded(boundary)
    module.exit_json(changed=False, found=found)


if __name__ == "__main__":
    main()
