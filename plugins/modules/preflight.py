#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: check a host before anything is changed on it."""

from __future__ import annotations

import errno
import json
import os
import platform
import re
import shutil
import socket
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from ansible.module_utils import engine_api
from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: preflight
short_description: Check that a host can take the deployment
description:
  - Checks root, memory, disk, ports, the processor and the Docker engine.
  - Refuses an older version of a server than the one that wrote its data.
  - Reports all problems at once, each with what to do.
  - Changes nothing.
options:
  instance:
    description: Instance whose containers may use the ports.
    type: str
    required: true
  memory_mb:
    description: Memory that the host must have.
    type: int
    required: true
  disk_mb:
    description: Disk space that must be free before the first deployment of the instance.
    type: int
    required: true
  disk_deployed_mb:
    description: Disk space that must be free before later deployments.
    type: int
    default: 1000
  disk_path:
    description: Directory whose file system is checked. It need not exist yet.
    type: path
    default: /var/lib/docker
  ports:
    description: Addresses that must be free or in use by the instance.
    type: list
    elements: dict
    default: []
    suboptions:
      address:
        description: Address to listen at.
        type: str
        required: true
      port:
        description: Port.
        type: int
        required: true
      variable:
        description: Variable that changes the port.
        type: str
        required: true
      address_variable:
        description: Variable that changes the address.
        type: str
        required: true
  mongodb:
    description: Whether MongoDB is to run here, which needs certain CPU features.
    type: bool
    default: false
  images:
    description: Images, with their tags, of the servers with data that are to run here.
    type: list
    elements: str
    default: []
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
- name: Check that the host can take the deployment
  preflight:
    instance: millrace
    memory_mb: 4000
    disk_mb: 10000
    ports:
      - address: 127.0.0.1
        port: 8443
        variable: millrace_api_port
        address_variable: millrace_api_address
"""

RETURN = r""" # """

LABEL = "io.millrace.instance"
CPUINFO = "/proc/cpuinfo"


def list_containers(path: str, timeout: int) -> list[dict[str, Any]]:
    """List the engine's containers, including stopped ones.

    The list is empty if no engine runs; TimeoutError if it hangs.
    """
    try:
        _, body = engine_api.ask(path, timeout, "GET", "/containers/json?all=true")
    except (FileNotFoundError, ConnectionRefusedError):
        return []
    found = json.loads(body)
    return found if isinstance(found, list) else []


def is_deployed(instance: str, containers: list[dict[str, Any]], engine_path: Path) -> bool:
    """Whether the instance is deployed here; without an engine, its volumes show it."""
    return any(container["Labels"].get(LABEL) == instance for container in containers) or any(
        (engine_path / "volumes").glob(f"{instance}-*")
    )


def is_free(address: str, port: int) -> bool:
    """Whether the port is free; OSError if the address cannot be listened at."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            raise
    return True


def port_problem(
    wanted: dict[str, Any], instance: str, containers: list[dict[str, Any]]
) -> str | None:
    """Name the user of a port, unless the port is free or used by the instance."""
    address, port = wanted["address"], wanted["port"]
    try:
        # The engine does not publish at names, and an empty address means all addresses.
        IPv4Address(address)
    except ValueError:
        return (
            f"{wanted['address_variable']} is '{address}': write an IPv4 address of this host,"
            " like 127.0.0.1"
        )
    holder = "another program"
    for container in containers:
        if any(published.get("PublicPort") == port for published in container.get("Ports", [])):
            if container["Labels"].get(LABEL) == instance:
                return None
            holder = f"container {container['Names'][0].lstrip('/')}"
    try:
        if holder == "another program" and is_free(address, port):
            return None
    except OSError as error:
        return (
            f"nothing can listen at {address}:{port} ({error.strerror}): "
            f"set {wanted['address_variable']} to an address of this host"
        )
    return f"port {address}:{port} is taken by {holder}: stop it, or set {wanted['variable']}"


def cpu_problem(cpuinfo: str, machine: str) -> str | None:
    """Name the missing CPU features that MongoDB 5 needs; `machine` is uname's."""
    # dcpop came with ARMv8.2-A, and kernels report it.
    wanted, name = {
        "x86_64": ("avx", "AVX"),
        "aarch64": ("dcpop", "ARMv8.2-A"),
    }.get(machine, ("", ""))
    flags = re.search(r"^(?:flags|Features)\s*:(.*)$", cpuinfo, re.MULTILINE)
    if not wanted or not flags or wanted in flags[1].split():
        return None
    return (
        f"the processor has no {name}, without which MongoDB ends at once: use another machine,"
        " or show the virtual machine the processor of its host"
    )


def version(tag: str) -> tuple[int, ...]:
    """The series of a version, such as (7, 0) of 7.0.14; nothing for a tag that is no version."""
    return tuple(map(int, found[0].split("."))) if (found := re.match(r"\d+\.\d+", tag)) else ()


def older_images(images: list[str], own: list[dict[str, Any]]) -> list[str]:
    """Name the servers whose data was written by a newer version than the one to run."""
    found = []
    for container in own:
        runs, _, tag = container["Image"].partition("@")[0].rpartition(":")
        for image in images:
            repository, _, wanted = image.partition("@")[0].rpartition(":")
            if repository == runs and version(wanted) and version(wanted) < version(tag):
                name = container["Names"][0].lstrip("/")
                found.append(
                    f"{name} is {container['Image']}, and its data cannot go back to {image}: "
                    "set millrace_images_source or the image's variable to what runs"
                )
    return found


def memory_mb(meminfo: str) -> int:
    """Read the total from the text of /proc/meminfo."""
    line = next(line for line in meminfo.splitlines() if line.startswith("MemTotal:"))
    return int(line.split()[1]) // 1024


def free_mb(path: Path) -> int:
    """Free space of the path's file system."""
    existing = next(parent for parent in (path, *path.parents) if parent.exists())
    return shutil.disk_usage(existing).free // 1024**2


def problems(params: dict[str, Any]) -> list[str]:
    """All problems with this host, each with what to do."""
    found = []
    if os.geteuid() != 0:
        found.append("not root: run as root, or set ansible_become=true for this host")
    memory, needed = memory_mb(Path("/proc/meminfo").read_text()), params["memory_mb"]
    if memory < needed:
        found.append(f"{memory} MB of memory, {needed} MB are needed: use a larger machine")
    containers: list[dict[str, Any]] = []
    engine, timeout = params["socket"], params["timeout"]
    try:
        containers = list_containers(engine, timeout)
    except TimeoutError:
        found.append(f"the engine at {engine} does not answer within {timeout} s: restart it")
    except PermissionError:
        found.append(f"no permission for the engine at {engine}: run as root")
    path = params["disk_path"]
    deployed = is_deployed(params["instance"], containers, Path(path))
    disk, needed = free_mb(Path(path)), params["disk_deployed_mb" if deployed else "disk_mb"]
    if disk < needed:
        found.append(f"{disk} MB are free below {path}, {needed} MB are needed: free some")
    if params["mongodb"] and (
        complaint := cpu_problem(Path(CPUINFO).read_text(), platform.machine())
    ):
        found.append(complaint)
    own = [item for item in containers if item["Labels"].get(LABEL) == params["instance"]]
    found += older_images(params["images"], own)
    complaints = (port_problem(port, params["instance"], containers) for port in params["ports"])
    return [*found, *filter(None, complaints)]


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "instance": {"type": "str", "required": True},
            "memory_mb": {"type": "int", "required": True},
            "disk_mb": {"type": "int", "required": True},
            "disk_deployed_mb": {"type": "int", "default": 1000},
            "disk_path": {"type": "path", "default": "/var/lib/docker"},
            "ports": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "address": {"type": "str", "required": True},
                    "port": {"type": "int", "required": True},
                    "variable": {"type": "str", "required": True},
                    "address_variable": {"type": "str", "required": True},
                },
            },
            "mongodb": {"type": "bool", "default": False},
            "images": {"type": "list", "elements": "str", "default": []},
            "socket": {"type": "path", "default": "/var/run/docker.sock"},
            "timeout": {"type": "int", "default": 10},
        },
        supports_check_mode=True,
    )
    found = problems(module.params)
    if found:
        module.fail_json(msg="; ".join(found), problems=found)
    module.exit_json(changed=False)


if __name__ == "__main__":
    main()
