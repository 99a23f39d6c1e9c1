# SPDX-License-Identifier: Apache-2.0
"""The records of runs that change an instance: who runs what."""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

Run = Mapping[str, Any]


def started(process: int) -> int | None:
    """Start time of a process in clock ticks since boot; None if it does not exist."""
    try:
        # The program's name is in parentheses, and may contain anything.
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return int(fields[19])


def here() -> str:
    """Identify the scope of process ids: this boot and the PID namespace."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{boot} {Path('/proc/self/ns/pid').readlink()}"


def described(process: int, playbooks: list[str]) -> dict[str, Any]:
    """Return the record of who runs what."""
    return {
        "process": process,
        "started": started(process),
        "processes_of": here(),
        "user": os.environ.get("SUDO_USER") or getpass.getuser(),
        "host": socket.gethostname(),
        "since": datetime.now().astimezone().isoformat(" ", "seconds"),
        "playbooks": playbooks,
    }


def is_same(one: Run, other: Run) -> bool:
    """Whether two records are of the same run."""
    return all(one.get(key) == other.get(key) for key in ("process", "started", "processes_of"))


def is_running(run: Run) -> bool:
    """Whether the run is active, as far as this machine can tell."""
    # Earlier versions wrote no `processes_of`.
    return run.get("processes_of", here()) == here() and started(run["process"]) == run["started"]


def has_ended(run: Run) -> bool:
    """Whether this machine can tell that the run has ended."""
    return run["processes_of"] == here() and not is_running(run)


def sentence(run: Run) -> str:
    """Describe who runs what since when."""
    return (
        f"{run['user']}@{run['host']} runs {' '.join(run['playbooks'])} on this instance"
        f" since {run['since']} (process {run['process']})"
    )
