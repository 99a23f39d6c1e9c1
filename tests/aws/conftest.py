"""The real playbooks against an emulated AWS; hosts that answer are another test's."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from botocore.config import Config

from tests.aws.moto_server import OWN_AGENT, MotoServer
from tests.documented.commands import blocks, inline

ROOT = Path(__file__).parents[2]
REGION = "us-east-1"
# One of its own for each run of the tests: a run of playbooks keeps others out.
INSTANCE = f"mr-test-{os.getpid():07}"


@dataclass(frozen=True)
class Result:
    """What a run of ansible-playbook came to."""

    code: int
    output: str

    @property
    def changed(self) -> int:
        """How many tasks changed something."""
        return sum(int(number) for number in re.findall(r"changed=(\d+)", self.output))

    @property
    def words(self) -> str:
        """The output on one line, however it was wrapped."""
        return " ".join(self.output.split())


class Aws:
    """An emulated account and the playbooks that work on it."""

    def __init__(self, moto: MotoServer, directory: Path) -> None:
        """Make an inventory of the test's own and the image that hosts are made from."""
        self.moto = moto
        self.directory = directory
        self.inventory = directory / "inventory"
        source = ROOT / "inventories" / "aws"
        self.inventory.mkdir()
        for path in source.iterdir():
            if path.name not in ("aws_ec2.yml", "vault.yml"):
                (self.inventory / path.name).symlink_to(path)
        text = (source / "aws_ec2.yml").read_text()
        text = text.replace("tag:Environment: millrace", f"tag:Environment: {INSTANCE}")
        (self.inventory / "aws_ec2.yml").write_text(text)
        (directory / "password").write_text("not a secret of anybody")
        # What Systems Manager's sessions need on this machine; no host is reached here.
        (directory / "session-manager-plugin").touch(mode=0o755)
        (directory / "modules").mkdir()
        install_aws_cli(directory / "cli")
        self.image = self.client("ec2").describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
        assert self.run("playbooks/secrets.yml").code == 0

    def empty(self) -> None:
        """Begin with an account in which there is what its administrator makes."""
        self.moto.clear()
        self.client("ssm").put_parameter(Name="/test/ami", Value=self.image, Type="String")
        # Who administers the account does this, as docs/aws.md says, not the operator.
        self.page("aws iam create-policy ", {"AWS_EXECUTION_ENV": OWN_AGENT})

    def client(self, service: str, **options: Any) -> Any:
        """A client of an AWS service."""
        return boto3.client(
            service,
            region_name=options.get("region", REGION),
            endpoint_url=self.moto.url,
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
            config=Config(user_agent_extra=OWN_AGENT),
        )

    def run(
        self,
        playbook: str,
        environment: dict[str, str] | None = None,
        check: bool = False,
        tags: str = "",
        **variables: Any,
    ) -> Result:
        """Run a playbook or its parts, or let it predict; there is no host to be reached."""
        settings = {
            "millrace_owner": "tests",
            "millrace_admin_cidr": "203.0.113.7/32",
            "millrace_ami_parameter": "/test/ami",
            "millrace_zones": ["a"],
            "millrace_state_dir": str(self.directory / "state"),
            "aws_delay": 1,
            "aws_retries": 1,
            **variables,
        }
        file = self.directory / "variables.yml"
        file.write_text(yaml.safe_dump(settings))
        command = [
            "ansible-playbook",
            f"--inventory={self.inventory}",
            # What would try to reach a host has this tag.
            "--skip-tags=reach",
            f"--extra-vars=@{file}",
            *(["--check"] if check else []),
            *([f"--tags={tags}"] if tags else []),
            playbook,
        ]
        return self.type(command, environment)

    def page(
        self, beginning: str, environment: dict[str, str] | None = None, **placeholders: str
    ) -> Result:
        """Type the command of docs/aws.md that begins so, with its placeholders filled in."""
        known = inline("docs/aws.md") + [c for one in blocks("docs/aws.md") for c in one.commands]
        [command] = [item for item in known if item.startswith(beginning)]
        for name, value in placeholders.items():
            command = command.replace(f"<{name}>", value)
        result = self.type(shlex.split(command), environment)
        assert result.code == 0, result.output
        return result

    def type(self, command: list[str], environment: dict[str, str] | None = None) -> Result:
        """Run a command as somebody who is logged in to the emulated account."""
        own = {
            "AWS_ENDPOINT_URL": self.moto.url,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_MAX_ATTEMPTS": "2",
            "MILLRACE_VAULT_PASSWORD_FILE": str(self.directory / "password"),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_CALLBACK_PLUGINS": "plugins/callback:tests/callback",
            "MILLRACE_TEST_MODULES": str(self.directory / "modules"),
            "AWS_DEFAULT_REGION": REGION,
            "PATH": os.pathsep.join(
                [str(self.directory / "cli/bin"), os.environ["PATH"], str(self.directory)]
            ),
        }
        done = subprocess.run(
            command,
            cwd=ROOT,
            # As a person runs it, also from where the tests are run by Ansible.
            env={name: value for name, value in os.environ.items() if "ANSIBLE_" not in name}
            | own
            | (environment or {}),
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )
        return Result(done.returncode, done.stdout + done.stderr)

    def instances(self) -> dict[str, Any]:
        """The instances that are not terminated, by the name of the host."""
        reservations = self.client("ec2").describe_instances()["Reservations"]
        found = [item for reservation in reservations for item in reservation["Instances"]]
        alive = [item for item in found if item["State"]["Name"] != "terminated"]
        by_name = {tags(item)["Host"]: item for item in alive}
        assert len(by_name) == len(alive), "two hosts of one name"
        return by_name

    def volumes(self) -> dict[str, str]:
        """Ids of the data volumes, by the name of the host."""
        found = self.client("ec2").describe_volumes(
            Filters=[{"Name": "tag:Role", "Values": ["data"]}]
        )["Volumes"]
        by_name = {tags(item)["Host"]: item["VolumeId"] for item in found}
        assert len(by_name) == len(found), "two volumes of one host"
        return by_name

    def everything(self) -> dict[str, list[str]]:
        """Whatever is left of the environment, asked of each service itself."""
        ec2, iam = self.client("ec2"), self.client("iam")
        vpcs = [x for x in ec2.describe_vpcs()["Vpcs"] if not x["IsDefault"]]
        volumes = ec2.describe_volumes()["Volumes"]
        nats = ec2.describe_nat_gateways()["NatGateways"]
        endpoints = ec2.describe_vpc_endpoints()["VpcEndpoints"]
        budgets = self.client("budgets").describe_budgets(AccountId="123456789012")["Budgets"]
        groups = ec2.describe_security_groups()["SecurityGroups"]
        found = {
            "instances": list(self.instances()),
            "vpcs": [x["VpcId"] for x in vpcs],
            "volumes": [x["VolumeId"] for x in volumes],
            "subnets": [x["SubnetId"] for x in ec2.describe_subnets()["Subnets"] if x["Tags"]],
            "gateways": ec2.describe_internet_gateways()["InternetGateways"],
            "tables": [x for x in ec2.describe_route_tables()["RouteTables"] if x["Tags"]],
            "endpoints": [x["VpcEndpointId"] for x in endpoints if x["State"] != "deleted"],
            "nats": [x["NatGatewayId"] for x in nats if x["State"] != "deleted"],
            "addresses": ec2.describe_addresses()["Addresses"],
            "groups": [x["GroupName"] for x in groups if x["GroupName"] != "default"],
            "keys": [x["KeyName"] for x in ec2.describe_key_pairs()["KeyPairs"]],
            "roles": [x["RoleName"] for x in iam.list_roles()["Roles"]],
            "profiles": iam.list_instance_profiles()["InstanceProfiles"],
            "repositories": self.client("ecr").describe_repositories()["repositories"],
            "buckets": [x["Name"] for x in self.client("s3").list_buckets()["Buckets"]],
            "databases": self.client("glue").get_databases()["DatabaseList"],
            "budgets": budgets,
        }
        return {kind: items for kind, items in found.items() if items}


def install_aws_cli(directory: Path) -> None:
    """AWS's own command line, in an environment of its own: Millrace does not need it."""
    uv = Path(sys.executable).with_name("uv")
    lock = ROOT / "requirements/awscli.txt"
    subprocess.run([uv, "venv", "--quiet", directory], check=True)
    into = [uv, "pip", "install", "--quiet", "--python", directory / "bin/python"]
    subprocess.run([*into, "--require-hashes", "-r", lock], check=True)


def tags(item: dict[str, Any]) -> dict[str, str]:
    """Tags of an answer as a dictionary."""
    listed = item.get("Tags") or item.get("TagSet") or item.get("tags") or []
    return {tag["Key"]: tag["Value"] for tag in listed}


@pytest.fixture(scope="session")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aws]:
    """The account, and on this machine what it takes to work with it."""
    assert shutil.which("ansible-playbook"), "put .venv/bin first on PATH"
    moto = MotoServer()
    moto.start()
    try:
        yield Aws(moto, tmp_path_factory.mktemp("aws"))
    finally:
        moto.stop()
        Path(f"/run/lock/millrace-{INSTANCE}-{REGION}").unlink(missing_ok=True)


@pytest.fixture(scope="module")
def aws(account: Aws) -> Aws:
    """The account with nothing in it."""
    account.empty()
    return account
