# SPDX-License-Identifier: Apache-2.0
"""Ansible inventory: as Ansible's `auto`, and where AWS refuses, with what to do about it."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleError, AnsibleParserError
from ansible.plugins.inventory.auto import InventoryModule as Auto
from ansible.plugins.loader import filter_loader

DOCUMENTATION = r"""
name: advised
short_description: Reads an inventory with the plugin that it names, with advice where it fails
description:
  - Finds the plugin in the file, as C(auto) does.
"""


class InventoryModule(Auto):
    """Reads a file with the plugin that it names."""

    NAME = "advised"

    def parse(self, inventory: Any, loader: Any, path: Any, cache: bool = True) -> None:
        """Read it.

        Raises AnsibleParserError, with what to do, where it cannot be read.
        """
        try:
            super().parse(inventory, loader, path, cache)
        except AnsibleError as error:
            advise = filter_loader.get("aws_advice").j2_function
            raise AnsibleParserError(advise({"msg": str(error)})) from None
