"""Ansible action: allow one run at a time to change an instance; a second one fails and names it.

The process of ansible-playbook holds the lock for as long as it runs: the file contains its id and
its start time, so that a killed run holds no lock. Later plays of a run find the run's own lock.
Runs on other machines are prevented by leases on the hosts: see `host_lease`.

    - name: Lock the instance on this controller
      run_lock:
        name: millrace-localhost
"""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase

from ansible import context, module_utils

# Ansible makes this directory importable for modules only, not for actions.
module_utils.__path__.append(str(Path(__file__).parents[1] / "module_utils"))
from ansible.module_utils.runs import (  # noqa: E402
    Run,
    described,
    is_running,
    is_same,
    sentence,
)

# Shared by all checkouts on the machine, because its engine is too. A reboot empties it.
DIRECTORY = Path("/run/lock")


def holder(written: str) -> Run | None:
    """Read which run holds the lock; None if that run has ended."""
    try:
        record: Run = json.loads(written)
        return record if is_running(record) else None
    except (ValueError, KeyError, TypeError, AttributeError):
        # The run that was writing it was killed.
        return None


def taken(path: Path, mine: Run) -> Run | None:
    """Take the lock; return the run that has it if it is another one.

    The file is never removed, so that two runs cannot lock two files of the same name.
    Raises OSError if the file cannot be written or is a link: every user of the machine may create
    one in this directory.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
    with os.fdopen(os.open(path, flags, 0o644), "r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        other = holder(file.read())
        if other and not is_same(other, mine):
            return other
        if not other:
            file.seek(0)
            file.truncate()
            json.dump(mine, file)
    return None


class ActionModule(ActionBase):
    """The action that Ansible runs for a task named after this file."""

    _requires_connection = False

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Take the lock for the process that this worker belongs to."""
        super().run(tmp, task_vars)
        _, arguments = self.validate_argument_spec({"name": {"type": "str", "required": True}})
        path = DIRECTORY / f"millrace-{arguments['name'].replace('/', '-')}"
        playbooks = [os.path.relpath(name) for name in context.CLIARGS.get("args", ())]
        try:
            other = taken(path, described(os.getppid(), playbooks))
        except OSError as error:
            return {"failed": True, "msg": f"cannot keep other runs out: {error}"}
        if other is None:
            return {"msg": f"this run holds {path}"}
        return {
            "failed": True,
            "msg": f"{sentence(other)}: run this again when that has ended",
        }
