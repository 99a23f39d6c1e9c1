"""Every emulated EC2 of this repository can run beside every other one."""

from __future__ import annotations

from ipaddress import IPv4Network
from itertools import combinations

import yaml

from emulator.settings import ROOT, Lab
from tests.emulator.containers.conftest import OPTIONS

NAMES = ("prefix", "port", "address", "public_range")


def labs() -> dict[str, dict[str, str]]:
    """Of each lab what no other may have: by who starts it."""
    named = {"make aws-lab": {name: str(getattr(Lab(), name)) for name in NAMES}}
    named["tests/emulator/containers"] = {
        name: OPTIONS[f"--{name.replace('_', '-')}"] for name in NAMES
    }
    for file in (ROOT / "molecule").glob("*/molecule.yml"):
        provisioner = yaml.safe_load(file.read_text()).get("provisioner", {})
        values = provisioner.get("inventory", {}).get("group_vars", {}).get("all", {})
        if "lab_prefix" in values:
            named[file.parent.name] = {name: str(values[f"lab_{name}"]) for name in NAMES}
    return named


def test_no_two_labs_share_a_name_a_port_an_address_or_a_range() -> None:
    found = labs()
    assert {"make aws-lab", "tests/emulator/containers", "aws"} <= set(found)
    for (one, its), (other, others) in combinations(found.items(), 2):
        shared = [name for name in NAMES if its[name] == others[name]]
        assert not shared, f"{one} and {other} share {shared}"
        ranges = IPv4Network(its["public_range"]), IPv4Network(others["public_range"])
        assert not ranges[0].overlaps(ranges[1]), f"{one} and {other} share addresses"
