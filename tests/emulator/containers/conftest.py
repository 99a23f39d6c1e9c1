"""A lab of its own, with what a fleet needs before its first instance."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest

from emulator.server import AMI_PARAMETER
from emulator.settings import CREDENTIAL, ROOT, Lab, load

OPTIONS = {
    "--prefix": "mr-awstest",
    "--port": "5597",
    "--address": "198.18.0.9",
    "--public-range": "198.19.3.0/24",
}


def command(state: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """One of the lab's commands, as `make aws-lab` runs them."""
    return subprocess.run(
        [sys.executable, "-m", "emulator", "--state", str(state), *words],
        cwd=ROOT,
        env={"PATH": "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )


@dataclass
class Fleet:
    """Instances of a lab, and how to get at them."""

    lab: Lab
    key: Path
    subnet: str
    vpc: str

    def client(self, service: str) -> Any:
        """A client of the emulated API."""
        return boto3.client(
            service,
            endpoint_url=self.lab.endpoint,
            region_name=self.lab.region,
            aws_access_key_id=CREDENTIAL,
            aws_secret_access_key=CREDENTIAL,
        )

    def group(self, name: str, *rules: dict[str, Any]) -> str:
        """A security group that allows these, and SSH from this machine."""
        made: str = self.client("ec2").create_security_group(
            GroupName=name, Description=name, VpcId=self.vpc
        )["GroupId"]
        ssh = {"FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": self.lab.admin_cidr}]}
        self.allow(made, ssh, *rules)
        return made

    def allow(self, group: str, *rules: dict[str, Any]) -> None:
        """Add rules for TCP to a group."""
        self.client("ec2").authorize_security_group_ingress(
            GroupId=group, IpPermissions=[{"IpProtocol": "tcp", **rule} for rule in rules]
        )

    def run(self, group: str, *devices: dict[str, Any]) -> str:
        """A new instance."""
        image = self.client("ssm").get_parameter(Name=AMI_PARAMETER)["Parameter"]["Value"]
        root = {"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 8, "DeleteOnTermination": True}}
        made: str = self.client("ec2").run_instances(
            ImageId=image,
            InstanceType="t3.small",
            MinCount=1,
            MaxCount=1,
            KeyName="test",
            SubnetId=self.subnet,
            SecurityGroupIds=[group],
            BlockDeviceMappings=[root, *devices],
        )["Instances"][0]["InstanceId"]
        return made

    def describe(self, instance: str) -> dict[str, Any]:
        """What the API says of an instance."""
        answer = self.client("ec2").describe_instances(InstanceIds=[instance])
        result: dict[str, Any] = answer["Reservations"][0]["Instances"][0]
        return result

    def settle(self) -> None:
        """Wait until the containers are as the API says."""
        result = command(self.lab.state, "settle")
        assert result.returncode == 0, result.stderr

    def ssh(self, instance: str, script: str, *, check: bool = True) -> str:
        """What a script prints in an instance, once one can log in."""
        address = self.describe(instance)["PublicIpAddress"]
        options = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR"]
        options += ["BatchMode=yes", "ConnectTimeout=5", "IdentitiesOnly=yes"]
        words = ["ssh", "-i", str(self.key), *(f"-o{option}" for option in options)]
        end = time.monotonic() + 30
        while True:
            result = subprocess.run(
                [*words, f"admin@{address}", script], capture_output=True, text=True, check=False
            )
            # 255 is ssh's own: not yet up.
            if result.returncode != 255 or time.monotonic() > end:
                break
            time.sleep(0.5)
        if check:
            assert result.returncode == 0, result.stderr
        return result.stdout.strip()


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """A lab with a VPC, a public subnet and a key pair; it is removed whatever happens."""
    state = tmp_path_factory.mktemp("lab")
    key = tmp_path_factory.mktemp("key") / "id"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    try:
        up = command(state, "up", *(word for pair in OPTIONS.items() for word in pair))
        assert up.returncode == 0, up.stdout + up.stderr
        lab = load(state)
        assert lab
        fleet = Fleet(lab, key, "", "")
        ec2 = fleet.client("ec2")
        public = key.with_suffix(".pub").read_bytes()
        ec2.import_key_pair(KeyName="test", PublicKeyMaterial=public)
        fleet.vpc = ec2.create_vpc(CidrBlock="10.79.0.0/16")["Vpc"]["VpcId"]
        made = ec2.create_subnet(VpcId=fleet.vpc, CidrBlock="10.79.1.0/24")
        fleet.subnet = made["Subnet"]["SubnetId"]
        ec2.modify_subnet_attribute(SubnetId=fleet.subnet, MapPublicIpOnLaunch={"Value": True})
        yield fleet
    finally:
        assert command(state, "down").returncode == 0
