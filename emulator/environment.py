"""Environments of a lab: copies of inventories/aws with the emulation's differences."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import yaml

from emulator.settings import ROOT, Lab, LabError

SOURCE = ROOT / "inventories" / "aws"
NAMED = "tag:Environment: millrace\n"
NAME = re.compile("[a-z][a-z0-9-]{1,19}")
NAME_IS = "2 to 20 lower-case letters, digits and hyphens"
OWN_FILE = "emulation.yml"


def make(lab: Lab, name: str) -> Path:
    """Create the environment's inventory if missing. LabError if the name is invalid."""
    if not NAME.fullmatch(name):
        raise LabError(f"{name} is no name: {NAME_IS}")
    inventory = lab.environments / name
    if not inventory.exists():
        # Copy the shared files too, but not the secrets of an account.
        shutil.copytree(SOURCE, inventory, ignore=shutil.ignore_patterns("vault.yml"))
        hosts = inventory / "aws_ec2.yml"
        named = hosts.read_text()
        if NAMED not in named:
            raise LabError(f"{hosts} does not name the environment millrace, which is replaced")
        hosts.write_text(named.replace(NAMED, f"tag:Environment: {name}\n"))
        for group, values in differences(lab, name).items():
            own = inventory / "group_vars" / group / OWN_FILE
            own.write_text(yaml.safe_dump(values, sort_keys=False))
    return inventory


def differences(lab: Lab, name: str) -> dict[str, dict[str, object]]:
    """The variables, by group, that differ from an environment on AWS."""
    return {
        "all": {
            "millrace_owner": "lab",
            "millrace_admin_cidr": lab.admin_cidr,
            "millrace_vpc_cidr": lab.vpc_range,
            # Keys and certificates of a lab are removed with it.
            "millrace_state_dir": str(lab.state / "deployments" / name),
        },
        "fleet": {
            # The registries stand for ECR and Docker Hub.
            "millrace_registry": f"{lab.registry}/{name}",
            "millrace_registry_mirrors": [f"https://{lab.mirror}"],
        },
    }
