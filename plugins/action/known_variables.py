"""Ansible action: check that the variables of this project that are set exist and are valid.

Ansible ignores a misspelt variable, and the default stays in force. This action compares the names
that are set for a host with those in the roles' argument specs and in the defaults of the project's
inventories. The prefix belongs to the project: any unknown name with it is refused. Prefixes of
roles, such as `host_` and `api_`, do not: a name with one of them is refused only if it is similar
to a variable of that role.

A role's variable that a playbook sets would override that of an inventory, so that it is refused
in an inventory. Values of other variables are checked against the role's argument spec, as Ansible
does when the role runs. Values that depend on secrets or facts are not known yet, and are checked
then.

    - name: Check variables against the roles' argument specs
      known_variables:
        roles: "{{ millrace_checkout }}/roles"
        playbooks: "{{ millrace_checkout }}/playbooks"
        inventories: "{{ millrace_checkout }}/inventories"
        prefix: millrace_
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.common.yaml import yaml_load
from ansible.plugins.action import ActionBase
from ansible.plugins.filter.core import to_json

MISSPELT = 0.85
"""Similarity, from 0 to 1, from which an unknown name is taken for a misspelling of a known one."""


def role_variables(roles: Path) -> dict[str, dict[str, Any]]:
    """Read the variables of each role, whatever its entry point, from its argument specs."""
    return {
        path.parents[1].name: {
            name: option
            for spec in yaml_load(path.read_text())["argument_specs"].values()
            for name, option in spec.get("options", {}).items()
        }
        for path in roles.glob("*/meta/argument_specs.yml")
    }


def filled(playbooks: Path) -> dict[str, tuple[str, str]]:
    """Read the variables that playbooks set, each with its file and value."""
    told = playbooks / "vars" / "services.yml"
    found = {name: (told, value) for name, value in yaml_load(told.read_text()).items()}
    for path in (*playbooks.glob("*.yml"), *playbooks.glob("deploy/*.yml")):
        for play in yaml_load(path.read_text()):
            for role in play.get("roles", []):
                if isinstance(role, dict):
                    found |= {name: (path, value) for name, value in role.items() if "_" in name}
    return {
        name: (f"playbooks/{path.relative_to(playbooks)}", str(value))
        for name, (path, value) in found.items()
    }


def overridden(names: Iterable[str], told: Mapping[str, tuple[str, str]]) -> list[str]:
    """Describe each variable that a playbook sets, and what to set instead."""
    lines = []
    for name in sorted(told.keys() & set(names)):
        path, value = told[name]
        sources = ", ".join(dict.fromkeys(re.findall(r"\bmillrace_\w+", value)))
        advice = f"set {sources}, or change it there" if sources else "change it there"
        lines.append(f"{path} fills {name}, and an inventory does not: {advice}")
    return lines


def refused(name: str, value: Any, spec: Mapping[str, Any]) -> list[str]:
    """Describe why the role would refuse the value of this variable."""
    kind = {key: part for key, part in spec.items() if key not in ("default", "required")}
    return list(ArgumentSpecValidator({name: kind}).validate({name: value}).error_messages)


def own_variables(inventories: Path) -> set[str]:
    """Read the names that have a default in any inventory."""
    patterns = ("shared/*.yml", "*/group_vars/*/+defaults/*.yml")
    files = [path for pattern in patterns for path in inventories.glob(pattern)]
    return {name for path in files for name in yaml_load(path.read_text())}


def unknown(
    names: Iterable[str], prefix: str, roles: tuple[str, ...], known: set[str], secrets: set[str]
) -> list[str]:
    """Describe each unknown name with the prefix, or similar to a variable of a role."""
    lines = []
    for name in sorted(set(names) - known):
        secret = f"vault_{name.removeprefix(prefix)}"
        if name.startswith(prefix) and secret in secrets:
            advice = f"it is a secret, {secret} of the vault (docs/operating/secrets.md)"
        elif name.startswith(prefix):
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
    """The action that Ansible runs for a task named after this file."""

    _requires_connection = False

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Compare the variables of the task's host."""
        super().run(tmp, task_vars)
        _, arguments = self.validate_argument_spec(
            {
                "roles": {"type": "path", "required": True},
                "playbooks": {"type": "path", "required": True},
                "inventories": {"type": "path", "required": True},
                "prefix": {"type": "str", "required": True},
            }
        )
        roles = role_variables(Path(arguments["roles"]))
        known = own_variables(Path(arguments["inventories"])).union(*roles.values())
        prefixes = tuple(f"{role}_" for role in roles)
        said = task_vars or {}
        secrets = set(said.get("millrace_secrets", ()))
        lines = unknown(said, arguments["prefix"], prefixes, known, secrets)
        lines += overridden(said, filled(Path(arguments["playbooks"])))
        for specs in roles.values():
            for name in specs.keys() & said.keys():
                # Values that depend on secrets or facts are not known yet.
                with suppress(AnsibleError):
                    plain = json.loads(to_json(self._templar.template(said[name])))
                    lines += refused(name, plain, specs[name])
        return {"failed": bool(lines), "msg": "; ".join(lines) or "every variable is known"}
