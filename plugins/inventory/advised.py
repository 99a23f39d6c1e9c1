# SPDX-License-Identifier: Apache-2.0
"""Ansible inventory: Ansible's `auto` plugin, with advice on errors of AWS.

Ansible loads it before any other plugin of this project, for every playbook and inventory, so it
refuses an unsupported Ansible: an untested version, or one without the services' package, which the
filters import.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml
from ansible.errors import AnsibleError, AnsibleParserError
from ansible.plugins.inventory.auto import InventoryModule as Auto
from ansible.plugins.loader import filter_loader
from ansible.release import __version__

DOCUMENTATION = r"""
name: advised
short_description: Reads an inventory with the plugin that it names, with advice on errors
description:
  - Finds the plugin in the file, as C(auto) does.
  - A file that no plugin accepts is reported, with what to do.
"""


# In 2.18, a number from a template in a nested setting becomes text, which AWS refuses.
TESTED = ("2.19", "2.20")


def problem(version: str, *, has_services: bool) -> str:
    """Describe in one line the problem with this ansible-core; empty if there is none."""
    if not version.startswith(tuple(f"{tested}." for tested in TESTED)):
        return (
            f"ansible-core {version} is not supported: run scripts/bootstrap and"
            f" .venv/bin/ansible-playbook, or install version {' or '.join(TESTED)}"
        )
    if not has_services:
        return (
            "the services are not installed beside this ansible-core: run scripts/bootstrap and"
            " .venv/bin/ansible-playbook"
        )
    return ""


SUFFIXES = (".yml", ".yaml", ".json")


class InventoryModule(Auto):
    """Reads a file with the plugin that it names."""

    NAME = "advised"

    def __init__(self) -> None:
        """Refuse an unsupported Ansible."""
        super().__init__()
        if said := problem(__version__, has_services=find_spec("millrace") is not None):
            raise AnsibleError(said)

    def verify_file(self, path: Any) -> bool:
        """Accept a file that names a plugin, and files that no other plugin accepts.

        The plugin `yaml` reports why other YAML files cannot be read.
        """
        if not Path(path).is_file():
            return False
        if Path(path).suffix not in SUFFIXES:
            return True
        try:
            return "plugin" in (yaml.safe_load(Path(path).read_text()) or ())
        except (OSError, ValueError, TypeError, yaml.YAMLError):
            return False

    def parse(self, inventory: Any, loader: Any, path: Any, cache: bool = True) -> None:
        """Read the file.

        Raises AnsibleParserError, with what to do, if it cannot be read.
        """
        if Path(path).suffix not in SUFFIXES:
            raise AnsibleParserError(
                f"{path} is no inventory, and a part that cannot be read is an error:"
                " move it out of the inventory's folder"
            )
        try:
            super().parse(inventory, loader, path, cache)
        except AnsibleError as error:
            advise = filter_loader.get("aws_advice").j2_function
            raise AnsibleParserError(advise({"msg": str(error)})) from None
