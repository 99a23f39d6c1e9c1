"""Ansible action: one run at a time changes an instance; the second says who runs, and fails.

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

# Ansible itself looks into this folder for modules alone.
module_utils.__path__.append(str(Path(__file__).parents[1] / "module_utils"))
from ansible.module_utils.runs import (  # noqa: E402
    Run,
    described,
    is_running,
    is_same,
    sentence,
)

# Of the whole machine, because its engine is: two checkouts share it. Emptied by a restart.
DIRECTORY = Path("/run/lock")


def holder(written: str) -> Run | None:
    """Read which run holds the lock; None if that run has ended."""
    try:
        record: Run = json.loads(written)
        return record if is_running(record) else None
    except (ValueError, KeyError, TypeError, AttributeError):
        # Cut short while it was written, by a run that is no more.
        return None


def taken(path: Path, mine: Run) -> Run | None:
    """Take the lock; return the run that has it if that is another one.

    The file is never removed: two runs must not lock two files of one name.
    Raises OSError where the file may not be written, or somebody has put a link in its place: the
    directory is open to every user of the machine.
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
    """What Ansible runs for a task that is named after this file."""

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
