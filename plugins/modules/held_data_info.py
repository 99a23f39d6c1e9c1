#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: which brokers, database members and archive have their data on a host."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ansible.module_utils import engine_api
from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: held_data_info
short_description: Which brokers, database members and archive have their data on a host
description:
  - A volume counts as soon as it has data.
  - The cluster of a server is read from the files and the container that it was created with.
  - Changes nothing.
options:
  instance:
    description: Instance whose volumes count.
    type: str
    required: true
  config_path:
    description: Directory with the files of the instances.
    type: path
    default: /etc
  engine_paths:
    description: Directories of volumes, for an engine that does not answer.
    type: list
    elements: path
    default: [/var/lib/docker]
  socket:
    description: Socket of the Docker engine. It need not exist yet.
    type: path
    default: /var/run/docker.sock
  timeout:
    description: Seconds within which an engine that accepts a connection must answer.
    type: int
    default: 10
extends_documentation_fragment:
  - millrace
"""

EXAMPLES = r"""
- name: Find the servers' data on the host
  held_data_info:
    instance: millrace
"""

RETURN = r"""
servers:
  description: >-
    Each server with data on this host: its kind (kafka or mongodb) and name; the controllers that
    a broker was created with; the replica set and members of a member. Unknown values are empty.
  type: list
  elements: dict
  returned: always
archive:
  description: Volume with the archive's tables, if it is on this host and has any; otherwise empty.
  type: str
  returned: always
processor:
  description: Whether the instance's processor is on this host, running or not.
  type: bool
  returned: always
"""

Item = dict[str, Any]
# Files that exist once a server has written to its volume.
MARKERS = {"kafka": "log/meta.properties", "mongodb": "WiredTiger"}
ARCHIVE, CATALOG = "archiver-data", "catalog.db"
SERVER = "server.properties"
AWAY = (FileNotFoundError, ConnectionRefusedError)


class Host:
    """One host, according to its engine and its files."""

    def __init__(self, params: Item) -> None:
        """Store the parameters, without a request."""
        self.params = params
        self.instance: str = params["instance"]

    def ask(self, target: str) -> Any:
        """The engine's answer; nothing if the object does not exist."""
        found = engine_api.ask(self.params["socket"], self.params["timeout"], "GET", target)
        return json.loads(found[1]) if found[0] == 200 else None

    def volumes(self) -> dict[str, Path]:
        """The directory of each volume, also while no engine runs."""
        label = json.dumps({"label": [f"io.millrace.instance={self.instance}"]})
        try:
            listed = (self.ask(f"/volumes?filters={quote(label)}") or {}).get("Volumes") or []
        except AWAY:
            paths = [Path(path) / "volumes" for path in self.params["engine_paths"]]
            return {x.name: x / "_data" for path in paths for x in path.glob(f"{self.instance}-*")}
        return {volume["Name"]: Path(volume["Mountpoint"]) for volume in listed}

    def container(self, name: str) -> Item | None:
        """A container of the instance, running or not."""
        try:
            found = self.ask(f"/containers/{quote(f'{self.instance}-{name}')}/json")
        except AWAY:
            return None
        return found if isinstance(found, dict) else None

    def text(self, server: str, name: str) -> str:
        """A file that a server was created with."""
        path = Path(self.params["config_path"]) / self.instance / server / name
        return path.read_text() if path.exists() else ""

    def controllers(self, name: str) -> list[str]:
        """The controllers that a broker was created with, as node@name."""
        line = re.search(r"^controller\.quorum\.voters=(.*)$", self.text(name, SERVER), re.M)
        return sorted(x.rsplit(":", 1)[0] for x in line[1].split(",")) if line else []

    def replica_set(self, name: str) -> str:
        """The replica set that a member was created for."""
        line = re.search(r"^\s*replSetName: *(\S+)$", self.text(name, "mongod.conf"), re.M)
        return line[1] if line else ""

    def members(self, name: str) -> list[str]:
        """The members that a member was created with: itself, and those whose addresses it has."""
        container = self.container(name)
        if not container:
            return []
        known = (line.split(":")[0] for line in container["HostConfig"]["ExtraHosts"] or [])
        return sorted({name, *(x for x in known if re.fullmatch(r"mongodb(-\d+)?", x))})

    def servers(self) -> list[Item]:
        """Each server with data on this host."""
        shape = re.compile(rf"{re.escape(self.instance)}-((kafka|mongodb)(-\d+)?)-data")
        found: list[Item] = []
        for volume, path in sorted(self.volumes().items()):
            named = shape.fullmatch(volume)
            if not named or not (path / MARKERS[named[2]]).exists():
                continue
            name, kind = named[1], named[2]
            server: Item = {"kind": kind, "name": name, "controllers": [], "members": []}
            server |= {"volume": volume, "replica_set": ""}
            if kind == "kafka":
                server["controllers"] = self.controllers(name)
            else:
                server |= {"members": self.members(name), "replica_set": self.replica_set(name)}
            found.append(server)
        return found

    def archive(self) -> str:
        """The volume of the archive, as soon as it has tables."""
        volume = f"{self.instance}-{ARCHIVE}"
        path = self.volumes().get(volume)
        return volume if path and (path / CATALOG).exists() else ""


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "instance": {"type": "str", "required": True},
            "config_path": {"type": "path", "default": "/etc"},
            "engine_paths": {"type": "list", "elements": "path", "default": ["/var/lib/docker"]},
            "socket": {"type": "path", "default": "/var/run/docker.sock"},
            "timeout": {"type": "int", "default": 10},
        },
        supports_check_mode=True,
    )
    host = Host(module.params)
    try:
        found = {"servers": host.servers(), "archive": host.archive()}
        found["processor"] = bool(host.container("processor"))
    except OSError as error:
        module.fail_json(msg=f"cannot determine which data of {host.instance} is here: {error}")
    module.exit_json(changed=False, **found)


if __name__ == "__main__":
    main()
