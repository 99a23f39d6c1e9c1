#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: one run at a time changes a host, from whichever machine it comes."""

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
short_description: One run at a time changes a host, from whichever machine it comes
description:
  - Writes down who has the host, unless another run has it; that of the same run is renewed.
  - A run on this machine has it for as long as its process lives; one elsewhere for some seconds,
    by the clock of this host.
  - A lease is nothing that is deployed, so no change is reported.
  - The action of this name gives the run, renews the lease and ends it with the run.
options:
  name:
    description: What is leased of the host.
    type: str
    required: true
  run:
    description: Who takes or ends it.
    type: dict
    required: true
  seconds:
    description: For how long a run elsewhere has it. 0 ends the lease.
    type: int
    required: true
  ended:
    description: A run that is known to have ended, where it ran. Its lease is void.
    type: dict
  directory:
    description: Where leases are; emptied by a restart.
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
  description: The run that has the host, where it is another one.
  type: dict
  returned: where the lease was not given
is_elsewhere:
  description: Whether the run that asks is not on this machine.
  type: bool
  returned: always
"""


Lease = dict[str, Any]


def written(text: str) -> Lease:
    """Read a lease; empty where there is none, or a host that lost its power was writing it."""
    try:
        return dict(json.loads(text))
    except ValueError:
        return {}


def is_held(lease: Lease, now: float) -> bool:
    """Whether a run still has the host; `now` is the seconds since the host was started."""
    if not lease:
        return False
    if lease["run"]["processes_of"] == runs.here():
        return runs.is_running(lease["run"])
    return bool(now < lease["until"])


def ask(
    path: Path, run: runs.Run, seconds: int, now: float, ended: runs.Run | None = None
) -> runs.Run | None:
    """Give, renew or end the lease; return the run that has the host if that is another one.

    The file is never removed: two runs must not lock two files of one name.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
    with os.fdopen(os.open(path, flags, 0o644), "r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        lease = written(file.read())
        if is_held(lease, now) and not (ended and runs.is_same(lease["run"], ended)):
            if not runs.is_same(lease["run"], run):
                return dict(lease["run"])
            # Since when it has been running stays.
            run = lease["run"]
        file.seek(0)
        file.truncate()
        if seconds:
            json.dump({"run": run, "until": now + seconds}, file)
    return None


def main() -> None:
    """Read the parameters and ask."""
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
    # A clock that nobody sets.
    now = time.clock_gettime(time.CLOCK_BOOTTIME)
    with told(module, f"{path} cannot keep other runs out"):
        other = ask(
            path, module.params["run"], module.params["seconds"], now, module.params["ended"]
        )
    answer = {"is_elsewhere": module.params["run"]["processes_of"] != runs.here()}
    module.exit_json(changed=False, **answer, **({"other": other} if other else {}))


if __name__ == "__main__":
    main()
