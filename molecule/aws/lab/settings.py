"""What a lab is made of: names, addresses and folders."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
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
    def calls(self) -> Path:
        """The record of API calls."""
        return self.state / "calls.jsonl"

    @property
    def environment(self) -> dict[str, str]:
        """What AWS clients have to be told."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": CREDENTIAL,
            "AWS_SECRET_ACCESS_KEY": CREDENTIAL,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_REGION": self.region,
            "AWS_EC2_METADATA_DISABLED": "true",
            "MILLRACE_LAB_ADMIN_CIDR": self.admin_cidr,
            "MILLRACE_LAB_REGISTRY": self.registry,
            "MILLRACE_LAB_MIRROR": f"https://{self.mirror}",
            "MILLRACE_LAB_CALLS": str(self.calls),
        }

    @property
    def text(self) -> str:
        """All of it, to be parsed again."""
        return json.dumps(asdict(self), indent=2, default=str)

    def save(self) -> None:
        """Write what `down` and `status` read later, and what a shell or a playbook uses."""
        self.state.mkdir(parents=True, exist_ok=True)
        (self.state / "lab.json").write_text(self.text + "\n")
        (self.state / "environment.json").write_text(json.dumps(self.environment, indent=2) + "\n")
        exports = "".join(f"export {name}='{value}'\n" for name, value in self.environment.items())
        (self.state / "env").write_text(exports)


def parse(text: str) -> Lab:
    """A lab from its text."""
    saved = json.loads(text)
    paths = {name: Path(saved[name]) for name in ("state", "cache") if name in saved}
    return Lab(**saved | paths)


def load(state: Path) -> Lab | None:
    """The lab whose state is there."""
    path = state / "lab.json"
    return parse(path.read_text()) if path.exists() else None
