"""Settings of a lab: names, addresses and directories."""

from __future__ import annotations

import json
import shlex
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# The account and the credentials from moto's documentation.
ACCOUNT = "123456789012"
CREDENTIAL = "testing"
LABEL = "io.millrace.lab"
INSTANCE_LABEL = "io.millrace.lab.instance"
SETTINGS_LABEL = "io.millrace.lab.settings"
NETWORK_LABEL = "io.millrace.lab.vpc"


class LabError(Exception):
    """An error to report to the user of the lab."""


@dataclass(frozen=True)
class Lab:
    """One lab. Two of them can run side by side if all of these differ."""

    state: Path = ROOT / ".cache" / "aws-lab"
    # Layers of Docker Hub images, which are slow to compress: they outlive the lab.
    cache: Path = ROOT / ".cache" / "aws-lab-mirror"
    prefix: str = "mr-aws"
    region: str = "us-east-1"
    port: int = 5567
    # The benchmarking range (RFC 2544), which nobody on the internet uses.
    address: str = "198.18.0.1"
    registry_port: int = 5000
    mirror_port: int = 5001
    public_range: str = "198.19.0.0/24"
    # The range of the VPC, for which the emulation creates a network on this machine.
    vpc_range: str = "10.42.0.0/16"
    # The environment that `up` creates and explains.
    instance: str = "lab"

    @property
    def endpoint(self) -> str:
        """URL of the API."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def admin_cidr(self) -> str:
        """The source address that hosts see when this machine uses their public addresses."""
        return f"{self.address}/32"

    @property
    def registry(self) -> str:
        """The registry that stands for ECR."""
        return f"{self.address}:{self.registry_port}"

    @property
    def mirror(self) -> str:
        """The registry that stands for Docker Hub."""
        return f"{self.address}:{self.mirror_port}"

    @property
    def environments(self) -> Path:
        """The directory of inventories, each named after its environment."""
        return self.state / "environments"

    @property
    def calls(self) -> Path:
        """The record of API calls."""
        return self.state / "calls.jsonl"

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables for AWS clients and Ansible."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": CREDENTIAL,
            "AWS_SECRET_ACCESS_KEY": CREDENTIAL,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_REGION": self.region,
            "AWS_EC2_METADATA_DISABLED": "true",
            # A vault in the checkout may have its password elsewhere.
            "MILLRACE_VAULT_FILE": str(self.environments / self.instance / "vault.yml"),
            "MILLRACE_VAULT_PASSWORD_FILE": str(self.state / "vault_password"),
        }

    @property
    def text(self) -> str:
        """The settings as text that `parse` reads."""
        return json.dumps(asdict(self), indent=2, default=str)

    def save(self) -> None:
        """Write the files that `down`, `status` and a shell read."""
        self.state.mkdir(parents=True, exist_ok=True)
        (self.state / "lab.json").write_text(self.text + "\n")
        lines = [f"export {name}={shlex.quote(value)}" for name, value in self.environment.items()]
        (self.state / "env").write_text("\n".join(lines) + "\n")


def parse(text: str) -> Lab:
    """A lab from its text."""
    saved = json.loads(text)
    paths = {name: Path(saved[name]) for name in ("state", "cache") if name in saved}
    return Lab(**saved | paths)


def load(state: Path) -> Lab | None:
    """The lab whose state is in this directory."""
    path = state / "lab.json"
    return parse(path.read_text()) if path.exists() else None
