"""Ansible action: one run at a time changes an instance; the second says who runs, and fails.

The process of ansible-playbook holds the lock for as long as it lives: what is written is its id
and the moment of its start, so a run that was killed holds nothing. Later plays meet their own.

    - name: Nobody else changes the instance
      run_lock:
        name: millrace-localhost
"""

from __future__ import annotations

import fcntl
import getpass
import json
import os
import socket
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase

from ansible import context

# Of the whole machine, because its engine is: two checkouts share it. Emptied by a restart.
DIRECTORY = Path("/run/lock")


def started(process: int) -> int | None:
    """When a process was started, in clock ticks since the machine was; None if there is none."""
    try:
        # The name of the program is in brackets, and may hold anything.
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return int(fields[19])


def described(process: int, playbooks: list[str]) -> dict[str, Any]:
    """Who runs what, for others to read."""
    return {
        "process": process,
        "started": started(process),
        "user": os.environ.get("SUDO_USER") or getpass.getuser(),
        "host": socket.gethostname(),
        "since": datetime.now().astimezone().isoformat(" ", "seconds"),
        "playbooks": playbooks,
    }


def holder(written: str) -> Mapping[str, Any] | None:
    """Read who holds the lock; None where that run has ended."""
    try:
        record = json.loads(written)
        alive = started(record["process"]) == record["started"]
    except (ValueError, KeyError, TypeError):
        # Cut short while it was written, by a run that is no more.
        return None
    return record if alive else None


def taken(path: Path, mine: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Take the lock; return who has it if that is another run.

    The file is never removed: two runs must not lock two files of one name.
    Raises OSError where the file may not be written, or somebody has put a link in its place: the
    directory is open to every user of the machine.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
    with os.fdopen(os.open(path, flags, 0o644), "r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        other = holder(file.read())
        if other and other["process"] != mine["process"]:
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
            "msg": (
                f"{other['user']}@{other['host']} runs {' '.join(other['playbooks'])} on this"
                f" instance since {other['since']} (process {other['process']}): run this again"
                " when that has ended"
            ),
        }
