"""What a lab is made of: names, addresses and folders."""

from __future__ import annotations

import json
import shlex
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# The account and the credentials that moto's documentation uses.
ACCOUNT = "123456789012"
CREDENTIAL = "testing"
LABEL = "io.millrace.lab"
INSTANCE_LABEL = "io.millrace.lab.instance"
SETTINGS_LABEL = "io.millrace.lab.settings"
NETWORK_LABEL = "io.millrace.lab.vpc"


class LabError(Exception):
    """Something that whoever uses the lab has to know."""


@dataclass(frozen=True)
class Lab:
    """One lab. Two of them can run side by side if all of these differ."""

    state: Path = ROOT / ".cache" / "aws-lab"
    # Layers of Docker Hub's images, which it takes long to compress: they outlive the lab.
    cache: Path = ROOT / ".cache" / "aws-lab-mirror"
    prefix: str = "mr-aws"
    region: str = "us-east-1"
    port: int = 5567
    # The range of benchmarks (RFC 2544): nobody on the internet has them.
    address: str = "198.18.0.1"
    registry_port: int = 5000
    mirror_port: int = 5001
    public_range: str = "198.19.0.0/24"
    # The range of the VPC: the emulation makes a network of it on this machine.
    vpc_range: str = "10.42.0.0/16"
    # The environment that `up` makes and says how to use.
    instance: str = "lab"

    @property
    def endpoint(self) -> str:
        """Where the API answers."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def admin_cidr(self) -> str:
        """Where hosts see this machine come from when it uses their public addresses."""
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
        """The folder of inventories, each named after its environment."""
        return self.state / "environments"

    @property
    def calls(self) -> Path:
        """The record of API calls."""
        return self.state / "calls.jsonl"

    @property
    def environment(self) -> dict[str, str]:
        """What AWS clients and Ansible have to be told."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": CREDENTIAL,
            "AWS_SECRET_ACCESS_KEY": CREDENTIAL,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_REGION": self.region,
            "AWS_EC2_METADATA_DISABLED": "true",
            # Whoever has a vault in the checkout has its password elsewhere.
            "MILLRACE_VAULT_FILE": str(self.environments / self.instance / "vault.yml"),
            "MILLRACE_VAULT_PASSWORD_FILE": str(self.state / "vault_password"),
        }

    @property
    def text(self) -> str:
        """All of it, to be parsed again."""
        return json.dumps(asdict(self), indent=2, default=str)

    def save(self) -> None:
        """Write what `down` and `status` read later, and what a shell uses."""
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
    """The lab whose state is there."""
    path = state / "lab.json"
    return parse(path.read_text()) if path.exists() else None
