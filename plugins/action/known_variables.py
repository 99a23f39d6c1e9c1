"""Ansible action: every variable of this project that is set is one that something reads.

Ansible takes a misspelt variable without a word, and the default stays in force. This action
compares the names that are set for a host with the names that the roles' argument specs and the
defaults of the project's inventories know. The prefix is the project's own: any other name with it
is refused. The names of roles, as `host_` and `api_`, are not: there it is refused what is nearly
one of ours.

    - name: Check for misspelt variables
      known_variables:
        roles: "{{ playbook_dir }}/../roles"
        inventories: "{{ playbook_dir }}/../inventories"
        prefix: millrace_
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml
from ansible.plugins.action import ActionBase

MISSPELT = 0.85
"""How much alike a name and one of ours are, from 0 to 1, where one was meant to be the other."""


def role_variables(roles: Path) -> dict[str, set[str]]:
    """Read the variables of each role from its argument specs."""
    return {
        path.parents[1].name: set(
            yaml.safe_load(path.read_text())["argument_specs"]["main"].get("options", {})
        )
        for path in roles.glob("*/meta/argument_specs.yml")
    }


def own_variables(inventories: Path) -> set[str]:
    """Read the names that have a default in any inventory."""
    patterns = ("shared/*.yml", "*/group_vars/*/+defaults/*.yml")
    files = [path for pattern in patterns for path in inventories.glob(pattern)]
    return {name for path in files for name in yaml.safe_load(path.read_text())}


def unknown(
    names: Iterable[str], prefix: str, roles: tuple[str, ...], known: set[str]
) -> list[str]:
    """Describe each unknown name that has the prefix, or nearly is a variable of a role."""
    lines = []
    for name in sorted(set(names) - known):
        if name.startswith(prefix):
            near = difflib.get_close_matches(name, known, n=1)
            advice = f"did you mean {near[0]}?" if near else "remove it"
        elif name.startswith(roles) and (
            near := difflib.get_close_matches(name, known, n=1, cutoff=MISSPELT)
        ):
            advice = f"did you mean {near[0]}? If it is your own, give it another name"
        else:
            continue
        lines.append(f"nothing reads the variable {name}: {advice}")
    return lines


class ActionModule(ActionBase):
    """What Ansible runs for a task that is named after this file."""

    _requires_connection = False

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Compare the variables of the task's host."""
        super().run(tmp, task_vars)
        _, arguments = self.validate_argument_spec(
            {
                "roles": {"type": "path", "required": True},
                "inventories": {"type": "path", "required": True},
                "prefix": {"type": "str", "required": True},
            }
        )
        roles = role_variables(Path(arguments["roles"]))
        known = own_variables(Path(arguments["inventories"])).union(*roles.values())
        prefixes = tuple(f"{role}_" for role in roles)
        lines = unknown(task_vars or {}, arguments["prefix"], prefixes, known)
        return {"failed": bool(lines), "msg": "; ".join(lines) or "every variable is known"}
