"""The desired state, according to the API."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import boto3
from botocore.config import Config

from emulator.calls import OWN_AGENT
from emulator.filters import rules
from emulator.model import Desired, Host
from emulator.settings import CREDENTIAL, Lab

ALIVE = ("pending", "running", "stopping", "stopped")


class Cloud:
    """Reads the state of EC2 through the API."""

    def __init__(self, lab: Lab) -> None:
        self.registries = (lab.registry, lab.mirror)
        self.ec2 = boto3.client(
            "ec2",
            endpoint_url=lab.endpoint,
            region_name=lab.region,
            aws_access_key_id=CREDENTIAL,
            aws_secret_access_key=CREDENTIAL,
            config=Config(user_agent_extra=OWN_AGENT, retries={"total_max_attempts": 1}),
        )

    def read(self, operation: str, key: str, **arguments: Any) -> list[dict[str, Any]]:
        """All pages of one describe call."""
        pages = self.ec2.get_paginator(operation).paginate(**arguments)
        return [item for page in pages for item in page[key]]

    def desired(self, reboots: Mapping[str, int]) -> Desired:
        """The desired hosts, networks and volumes."""
        instances = [
            instance
            for reservation in self.read("describe_instances", "Reservations")
            for instance in reservation["Instances"]
            if instance["State"]["Name"] in ALIVE and instance.get("VpcId")
        ]
        if not instances:
            return Desired(volumes=self.volumes())
        groups = {
            group["GroupId"]: group
            for group in self.read("describe_security_groups", "SecurityGroups")
        }
        pairs = self.ec2.describe_key_pairs(IncludePublicKey=True)["KeyPairs"]
        keys = {pair["KeyName"]: pair.get("PublicKey", "") for pair in pairs}
        members: dict[str, list[str]] = defaultdict(list)
        for instance in instances:
            for group in instance["SecurityGroups"]:
                members[group["GroupId"]].append(instance["PrivateIpAddress"])
        hosts = {}
        for instance in instances:
            own = [groups[item["GroupId"]] for item in instance["SecurityGroups"]]
            hosts[instance["InstanceId"]] = Host(
                id=instance["InstanceId"],
                network=instance["VpcId"],
                private=instance["PrivateIpAddress"],
                public=instance.get("PublicIpAddress"),
                running=instance["State"]["Name"] in ("pending", "running"),
                key=keys.get(instance.get("KeyName", ""), "").strip(),
                volumes=data_volumes(instance),
                filters=rules(own, members, instance["PrivateIpAddress"], self.registries),
                reboots=reboots.get(instance["InstanceId"], 0),
            )
        used = {host.network for host in hosts.values()}
        networks = {
            vpc["VpcId"]: vpc["CidrBlock"]
            for vpc in self.read("describe_vpcs", "Vpcs")
            if vpc["VpcId"] in used
        }
        return Desired(hosts, networks, self.volumes())

    def volumes(self) -> dict[str, int]:
        """Every volume with its size."""
        found = self.read("describe_volumes", "Volumes")
        return {volume["VolumeId"]: volume["Size"] for volume in found}


def data_volumes(instance: Mapping[str, Any]) -> tuple[str, ...]:
    """The attached volumes except the root, which is the container's file system."""
    attached = {
        item["DeviceName"]: item["Ebs"]["VolumeId"]
        for item in instance.get("BlockDeviceMappings", [])
    }
    # The root device of an image may have another name than the instance's: then it is the first.
    root = instance.get("RootDeviceName", "")
    if root not in attached and attached:
        root = next(iter(attached))
    return tuple(sorted(volume for device, volume in attached.items() if device != root))
