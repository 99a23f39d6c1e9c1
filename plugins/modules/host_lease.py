#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: allow one run at a time to change a host, from any controller."""

from __future__ import annotations

import fcntl
import json
import os
import time
from pathlib import Path
from typing import Any

from ansible.module_utils import runs
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.causes import told

DOCUMENTATION = r"""
module: host_lease
short_description: Allow one run at a time to change a host, from any controller
description:
  - Stores a lease for the run, unless another run has one; the same run's lease is renewed.
  - A run on this machine has the lease for as long as its process lives; a run elsewhere for some
    seconds, by the clock of this host.
  - A lease is not part of the deployment, so no change is reported.
  - The action of this name passes the run, renews the lease and ends it with the run.
options:
  name:
    description: Name of the lease on the host.
    type: str
    required: true
  run:
    description: The run that takes or ends the lease.
    type: dict
    required: true
  seconds:
    description: Duration of the lease of a run elsewhere. 0 ends the lease.
    type: int
    required: true
  ended:
    description: A run that has ended, as its own machine knows. Its lease is void.
    type: dict
  directory:
    description: Directory of leases; a reboot empties it.
    type: path
    default: /run
extends_documentation_fragment:
  - millrace
attributes:
  check_mode:
    support: none
"""

EXAMPLES = r"""
- name: Lease the hosts
  host_lease:
    name: millrace
"""

RETURN = r"""
other:
  description: The other run that has the host.
  type: dict
  returned: if the lease was not given
is_elsewhere:
  description: Whether the requesting run is not on this machine.
  type: bool
  returned: always
"""


Lease = dict[str, Any]


def written(text: str) -> Lease:
    """Read a lease; empty if there is none, or a power loss truncated it."""
    try:
        return dict(json.loads(text))
    except ValueError:
        return {}


def is_held(lease: Lease, now: float) -> bool:
    """Whether a run still has the host; `now` is in seconds since the host's boot."""
    if not lease:
        return False
    if lease["run"]["processes_of"] == runs.here():
        return runs.is_running(lease["run"])
    return bool(now < lease["until"])


def ask(
    path: Path, run: runs.Run, seconds: int, now: float, ended: runs.Run | None = None
) -> runs.Run | None:
    """Give, renew or end the lease; return the run that has the host if it is another one.

    The file is never removed, so that two runs cannot lock two files of the same name.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
    with os.fdopen(os.open(path, flags, 0o644), "r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        lease = written(file.read())
        if is_held(lease, now) and not (ended and runs.is_same(lease["run"], ended)):
            if not runs.is_same(lease["run"], run):
                return dict(lease["run"])
            # Keep the run's start time.
            run = lease["run"]
        file.seek(0)
        file.truncate()
        if seconds:
            json.dump({"run": run, "until": now + seconds}, file)
    return None


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "run": {"type": "dict", "required": True},
            "seconds": {"type": "int", "required": True},
            "ended": {"type": "dict"},
            "directory": {"type": "path", "default": "/run"},
        }
    )
    path = Path(module.params["directory"]) / f"{module.params['name']}.lease"
    # A clock that cannot be set.
    now = time.clock_gettime(time.CLOCK_BOOTTIME)
    with told(module, f"{path} cannot keep other runs out"):
        other = ask(
            path, module.params["run"], module.params["seconds"], now, module.params["ended"]
        )
    answer = {"is_elsewhere": module.params["run"]["processes_of"] != runs.here()}
    module.exit_json(changed=False, **answer, **({"other": other} if other else {}))


if __name__ == "__main__":
    main()
