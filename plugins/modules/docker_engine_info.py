#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: inspect the Docker engine of a host, and determine what it lacks."""

from __future__ import annotations

import importlib.util
import json
import platform
import re
import shutil
import time
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path
from typing import Any

from ansible.module_utils import daemon_json, engine_api
from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: docker_engine_info
short_description: Look at the Docker engine of a host
description:
  - Reports whether an engine is installed, runs and answers, and what its daemon.json has to
    contain so that the wanted settings apply together with the existing ones.
  - Waits for an engine that is starting. Fails if one runs and does not answer.
  - Changes nothing.
options:
  settings:
    description:
      - Settings that the engine should have, by their names in daemon.json.
      - Omitted are V(log-driver) and V(log-opts) if daemon.json names another log driver,
        V(live-restore) on a Swarm member, which would not start with it, and settings that
        the running engine has as arguments, because an engine refuses duplicate settings.
    type: dict
    default: {}
  networks:
    description: Networks that the engine should have.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the network.
        type: str
        required: true
      internal:
        description: Whether the network is internal, without a way out.
        type: bool
        default: false
  labels:
    description: Labels that these networks should have.
    type: dict
    default: {}
  config:
    description: The engine's configuration file. It need not exist yet.
    type: path
    default: /etc/docker/daemon.json
  socket:
    description: Socket of the engine. It need not exist yet.
    type: path
    default: /var/run/docker.sock
  pid_file:
    description: File to which the engine writes its process id.
    type: path
    default: /var/run/docker.pid
  log:
    description: Log of an engine that systemd does not run; its end is part of a failure's message.
    type: path
    required: true
  timeout:
    description: Seconds to wait for an answer.
    type: int
    default: 60
  running:
    description: Whether an engine must run. Otherwise a stopped one is not waited for.
    type: bool
    default: false
extends_documentation_fragment:
  - millrace
"""

EXAMPLES = r"""
- name: Inspect the engine
  docker_engine_info:
    settings: {live-restore: true}
    log: /var/log/dockerd.log
  register: engine
"""

RETURN = r"""
answers:
  description: Whether the engine runs and answers.
  type: bool
  returned: always
installed:
  description: Whether there is an engine.
  type: bool
  returned: always
networks:
  description: The wanted networks that are missing or differ.
  type: list
  elements: dict
  returned: always
enabled:
  description: Whether systemd starts the engine when the host starts.
  type: bool
  returned: always
systemd:
  description: Whether systemd runs here.
  type: bool
  returned: always
pid:
  description: Process id of the engine; 0 if none runs.
  type: int
  returned: always
packages:
  description: Debian packages that are missing.
  type: list
  elements: str
  returned: always
config:
  description: The content that daemon.json should have; empty if it has that content.
  type: str
  returned: always
validates:
  description: Whether the engine can check a daemon.json.
  type: bool
  returned: always
reload:
  description: Whether the running engine has not read the current daemon.json.
  type: bool
  returned: always
restart:
  description: Settings that a running engine applies only at its next start.
  type: list
  elements: str
  returned: always
"""

VALIDATES_SINCE = 23
# The last Debian releases whose docker.io has the client; testing and unstable have no number.
CLIENT_WITHIN = {"11", "12"}


class EngineError(Exception):
    """A problem with the engine, and what to do."""


def process(pid_file: Path) -> int:
    """Return the engine's process id; 0 if none runs."""
    try:
        pid = int(pid_file.read_text())
        status = Path(f"/proc/{pid}/status").read_text()
    except (OSError, ValueError):
        return 0
    # If process 1 does not reap orphans, a dead engine stays as a zombie.
    return pid if re.match(r"Name:\tdockerd\n(.*\n)*State:\t[^ZX]", status) else 0


def ask(socket: str, timeout: float, target: str = "/info") -> Any:
    """Return the engine's answer, by default its info; nothing if it does not answer."""
    try:
        status, body = engine_api.ask(socket, timeout, "GET", target)
        return json.loads(body) if status == HTTPStatus.OK else {}
    except (OSError, HTTPException, ValueError):
        return {}


def last_words(module: AnsibleModule, *, systemd: bool) -> str:
    """Name the engine's log and quote its end."""
    log = module.params["log"]
    where = "journalctl -u docker" if systemd else log
    command = ["journalctl", "-u", "docker", "-n", "3", "-o", "cat"]
    _, end, _ = module.run_command(command if systemd else ["tail", "-n", "3", log])
    return f"The end of its log ({where}): {end.strip() or 'nothing'}"


def wait(module: AnsibleModule, *, systemd: bool) -> tuple[dict[str, Any], int]:
    """Return the engine's answer and its process id, once it answers or clearly does not run."""
    socket, timeout = module.params["socket"], module.params["timeout"]
    deadline = time.monotonic() + timeout
    while True:
        info = ask(socket, max(1.0, deadline - time.monotonic()))
        pid = process(Path(module.params["pid_file"]))
        if info or not (pid or module.params["running"]):
            return info, pid
        if time.monotonic() >= deadline:
            what = f"dockerd runs (process {pid}) but" if pid else "dockerd does not run: it"
            raise EngineError(
                f"{what} does not answer at {socket} within {timeout} s. Repair or restart it, "
                f"then run this again. {last_words(module, systemd=systemd)}"
            )
        time.sleep(0.5)


def missing_packages(release: dict[str, str], *, installed: bool, has_requests: bool) -> list[str]:
    """Return the Debian packages to install."""
    packages = []
    if not installed:
        packages += ["docker.io", "iptables"]
        if release["ID"] == "debian" and release.get("VERSION_ID") not in CLIENT_WITHIN:
            packages.append("docker-cli")
    if not has_requests:  # The modules that talk to the engine need it.
        packages.append("python3-requests")
    return packages


def lacking(
    networks: list[dict[str, Any]], labels: dict[str, str], found: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Return the networks that are missing or differ."""
    there = {network["Name"]: (network["Internal"], network["Labels"]) for network in found}
    return [
        wanted for wanted in networks if there.get(wanted["name"]) != (wanted["internal"], labels)
    ]


def validates(module: AnsibleModule, info: dict[str, Any]) -> bool:
    """Whether this host's dockerd supports --validate."""
    if not shutil.which("dockerd"):
        return False
    version = info.get("ServerVersion") or module.run_command(["dockerd", "--version"])[1]
    major = re.search(r"(\d+)\.\d", version)
    return major is not None and int(major[1]) >= VALIDATES_SINCE


def look(module: AnsibleModule) -> dict[str, Any]:
    """Return everything about this host's engine."""
    systemd = Path("/run/systemd/system").is_dir()
    info, pid = wait(module, systemd=systemd)
    present = daemon_json.read(Path(module.params["config"]))
    swarm = info.get("Swarm", {}).get("LocalNodeState", "inactive") != "inactive"
    given = daemon_json.arguments(pid)
    wanted = daemon_json.applicable(module.params["settings"], present, given, swarm=swarm)
    config = daemon_json.merged(present, wanted)
    differing = {name for name, value in config.items() if present.get(name) != value}
    reloaded = daemon_json.RELOADED if pid else frozenset()
    is_live, shall_be_live = bool(info.get("LiveRestoreEnabled")), config.get("live-restore")
    installed = bool(info or shutil.which("dockerd"))
    return {
        "answers": bool(info),
        "installed": installed,
        "systemd": systemd,
        "enabled": systemd and module.run_command(["systemctl", "is-enabled", "docker"])[0] == 0,
        "networks": lacking(
            module.params["networks"],
            module.params["labels"],
            ask(module.params["socket"], module.params["timeout"], "/networks") if info else [],
        ),
        "pid": pid,
        "packages": missing_packages(
            platform.freedesktop_os_release(),
            installed=installed,
            has_requests=importlib.util.find_spec("requests") is not None,
        ),
        "config": json.dumps(config, indent=2) + "\n" if differing else "",
        "validates": validates(module, info),
        "reload": bool(info and pid) and shall_be_live in {True, False} - {is_live},
        "restart": sorted(differing - reloaded) if info else [],
    }


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "settings": {"type": "dict", "default": {}},
            "networks": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "name": {"type": "str", "required": True},
                    "internal": {"type": "bool", "default": False},
                },
            },
            "labels": {"type": "dict", "default": {}},
            "config": {"type": "path", "default": "/etc/docker/daemon.json"},
            "socket": {"type": "path", "default": "/var/run/docker.sock"},
            "pid_file": {"type": "path", "default": "/var/run/docker.pid"},
            "log": {"type": "path", "required": True},
            "timeout": {"type": "int", "default": 60},
            "running": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    try:
        module.exit_json(changed=False, **look(module))
    except (EngineError, daemon_json.ConfigError, OSError) as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
