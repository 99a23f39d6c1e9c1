"""Ansible action: check that the declared hosts are in the inventory, in the groups of their roles.

A host that is stopped, or that the user may not list, is silently missing from a dynamic inventory,
and a play without hosts succeeds.

    - name: Check that declared hosts exist
      hosts_declared:
        fleet: "{{ millrace_fleet | default([]) }}"
        groups: "{{ groups }}"
        inventory: inventories/aws
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible.plugins.action import ActionBase


def is_readable(fleet: Any) -> bool:
    """Whether the fleet is a list of hosts, each with a name and a list of roles."""
    return isinstance(fleet, list) and all(
        isinstance(host, Mapping) and host.get("name") and isinstance(host.get("roles"), list)
        for host in fleet
    )


def missing(fleet: Sequence[Mapping[str, Any]], groups: Mapping[str, Sequence[str]]) -> list[str]:
    """Name the declared hosts that are not in the group `fleet`."""
    names = [str(host.get("name")) for host in fleet]
    return [name for name in names if name not in groups.get("fleet", ())]


def misplaced(fleet: Sequence[Mapping[str, Any]], groups: Mapping[str, Sequence[str]]) -> list[str]:
    """Name the declared hosts that are not yet in the groups of all their roles."""
    return [
        f"{host['name']} is not yet in the group {role}"
        for host in fleet
        for role in host["roles"]
        if host["name"] not in groups.get(role, ())
    ]


def problem(fleet: Any, groups: Mapping[str, Sequence[str]], inventory: str) -> str:
    """Describe in one line what differs from the declaration, and what to do; else empty."""
    command = f"ansible-playbook -i {inventory}"
    if not is_readable(fleet):
        return (
            "millrace_fleet is no list of hosts, each with a name and a list of roles:"
            f" {command} playbooks/plan.yml says what is wrong"
        )
    if absent := missing(fleet, groups):
        found = len(fleet) - len(absent)
        return (
            f"{', '.join(absent)} of millrace_fleet not found ({found} of {len(fleet)} hosts are"
            f" running): {command} playbooks/start.yml starts hosts that were stopped,"
            f" {command} site.yml makes those that there never were"
        )
    if waiting := misplaced(fleet, groups):
        return f"{'; '.join(waiting)}: {command} site.yml brings the hosts up to millrace_fleet"
    if not groups.get("fleet"):
        return f"no host of the inventory {inventory} is in the group fleet: put each of them there"
    return ""


class ActionModule(ActionBase):
    """The action that Ansible runs for a task named after this file."""

    _requires_connection = False

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Compare the declared hosts with the found ones."""
        super().run(tmp, task_vars)
        _, arguments = self.validate_argument_spec(
            {
                "fleet": {"type": "raw", "required": True},
                "groups": {"type": "dict", "required": True},
                "inventory": {"type": "str", "required": True},
            }
        )
        said = problem(arguments["fleet"], arguments["groups"], arguments["inventory"])
        return {"failed": bool(said), "msg": said or "all hosts are there"}
