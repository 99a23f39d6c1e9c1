#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: reconcile a server's state (users, topics, roles) with declared data."""

from __future__ import annotations

import json
import subprocess
import uuid
from collections.abc import Iterator
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.causes import told

DOCUMENTATION = r"""
module: reconcile
short_description: Reconcile the state of a server with declared data
description:
  - Runs an administration command in a short-lived container beside the server and passes it the
    desired state on standard input, so that no secret is in an argument, an environment variable or
    a file.
  - The command prints one JSON object with C(changed), C(changes), C(diff) and C(notes).
options:
  image:
    description: Image that holds the administration command.
    type: str
    required: true
  command:
    description: The command and its arguments. C(--check) is added in check mode.
    type: list
    elements: str
    required: true
  network:
    description:
      - Network of the short-lived container.
      - V(container:NAME) shares the network of the server's container, so that the server's name
        and localhost refer to the server.
    type: str
    required: true
  files:
    description: Directory of the host that is mounted read-only at C(/run/secrets).
    type: path
  user:
    description: User and group id of the command; they must be able to read O(files).
    type: str
    required: true
  desired:
    description: The desired state. The command reads it as JSON.
    type: dict
    required: true
  timeout:
    description: Seconds after which the command is killed.
    type: int
    default: 120
extends_documentation_fragment:
  - millrace
  - millrace.diff
attributes:
  check_mode:
    support: full
    description: If the server does not run yet, the whole desired state counts as a change.
"""

EXAMPLES = r"""
- name: Reconcile the topics
  reconcile:
    image: millrace/millrace:1.0.0
    command: [admin, kafka]
    network: container:millrace-kafka-1
    files: /etc/millrace/kafka-admin
    user: "10001:10001"
    desired:
      bootstrap_servers: kafka-1:9094
      topics: [{name: stock-data, partitions: 3, replication_factor: 1}]
  no_log: true
"""

RETURN = r"""
changes:
  description: What was changed, or would be, one line each.
  type: list
  elements: str
  returned: always
notes:
  description: Differences that are left unchanged, one line each.
  type: list
  elements: str
  returned: always
"""

ISOLATION = [
    "--interactive",
    "--rm",
    "--read-only",
    "--tmpfs=/tmp:noexec,nosuid,nodev",
    "--cap-drop=ALL",
    "--security-opt=no-new-privileges",
    "--memory=256m",
    "--pids-limit=64",
    "--log-driver=none",
]


class ReconcileError(Exception):
    """The command failed; the text says why."""


def secrets(value: Any, *, named: bool = False) -> Iterator[str]:
    """Yield every text below a key that names a password, to mask it in the result."""
    if isinstance(value, dict):
        for key, below in value.items():
            yield from secrets(below, named="password" in key)
    elif isinstance(value, list):
        for below in value:
            yield from secrets(below, named=named)
    elif named and isinstance(value, str) and value:
        yield value


def docker(arguments: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
    """Run the docker client. The arguments never contain parts of the desired state."""
    command = ["docker", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)  # noqa: S603 - no shell


def arguments(params: dict[str, Any], name: str, *, check_mode: bool) -> list[str]:
    """Build the arguments that run the command."""
    mount = [f"--volume={params['files']}:/run/secrets:ro"] if params["files"] else []
    return [
        "run",
        f"--name={name}",
        *ISOLATION,
        f"--network={params['network']}",
        f"--user={params['user']}",
        *mount,
        params["image"],
        *params["command"],
        *(["--check"] if check_mode else []),
    ]


def parse(status: int, stdout: str, stderr: str) -> dict[str, Any]:
    """Return the command's answer, or raise ReconcileError with the command's message."""
    if status != 0:
        raise ReconcileError(stderr.strip() or f"ended with status {status} and no message")
    try:
        answer = json.loads(stdout)
    except ValueError as error:
        raise ReconcileError(f"the command did not answer with JSON: {error}") from error
    if not isinstance(answer, dict) or not isinstance(answer.get("changed"), bool):
        raise ReconcileError("the command's answer does not say whether something changed")
    return {
        "changed": answer["changed"],
        "changes": answer.get("changes", []),
        "notes": answer.get("notes", []),
        "diff": answer.get("diff", {"before": "", "after": ""}),
    }


def runs(container: str) -> bool:
    """Whether a container runs."""
    state = docker(["container", "inspect", "--format={{.State.Running}}", container])
    return state.stdout.strip() == "true"


def reconcile(params: dict[str, Any], *, check_mode: bool) -> dict[str, Any]:
    """Run the command and return its answer."""
    kind, _, server = params["network"].partition(":")
    if check_mode and kind == "container" and not runs(server):
        answer = {"changed": True, "changes": [f"{server} does not run yet"]}
        return parse(0, json.dumps(answer), "")
    name = f"{server or kind}-admin-{uuid.uuid4().hex[:8]}"
    try:
        done = docker(
            arguments(params, name, check_mode=check_mode),
            input=json.dumps(params["desired"]),
            timeout=params["timeout"],
        )
    except subprocess.TimeoutExpired as error:
        # Killing the client leaves its container behind.
        docker(["rm", "--force", name])
        raise ReconcileError(f"no answer within {params['timeout']} s") from error
    return parse(done.returncode, done.stdout, done.stderr)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "image": {"type": "str", "required": True},
            "command": {"type": "list", "elements": "str", "required": True},
            "network": {"type": "str", "required": True},
            "files": {"type": "path"},
            "user": {"type": "str", "required": True},
            "desired": {"type": "dict", "required": True},
            "timeout": {"type": "int", "default": 120},
        },
        supports_check_mode=True,
    )
    module.no_log_values.update(secrets(module.params["desired"]))
    with told(module, " ".join(module.params["command"])):
        try:
            answer = reconcile(module.params, check_mode=module.check_mode)
        except (OSError, ReconcileError) as error:
            module.fail_json(msg=f"{' '.join(module.params['command'])}: {error}")
    module.exit_json(**answer)


if __name__ == "__main__":
    main()
