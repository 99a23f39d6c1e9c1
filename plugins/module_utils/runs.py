# SPDX-License-Identifier: Apache-2.0
"""Who runs what: what runs that change an instance write down for each other."""

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
    """When a process was started, in clock ticks since the machine was; None if there is none."""
    try:
        # The name of the program is in brackets, and may hold anything.
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return int(fields[19])


def here() -> str:
    """Name where numbers of processes mean what they mean: this boot, and the namespace."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{boot} {Path('/proc/self/ns/pid').readlink()}"


def described(process: int, playbooks: list[str]) -> dict[str, Any]:
    """Who runs what, for others to read."""
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
    """Whether two records are of one run."""
    return all(one.get(key) == other.get(key) for key in ("process", "started", "processes_of"))


def is_running(run: Run) -> bool:
    """Whether it runs, as far as can be seen from here."""
    # Earlier versions wrote no `processes_of`.
    return run.get("processes_of", here()) == here() and started(run["process"]) == run["started"]


def has_ended(run: Run) -> bool:
    """Whether it can be seen from here that it runs no longer."""
    return run["processes_of"] == here() and not is_running(run)


def sentence(run: Run) -> str:
    """Say who runs what since when."""
    return (
        f"{run['user']}@{run['host']} runs {' '.join(run['playbooks'])} on this instance"
        f" since {run['since']} (process {run['process']})"
    )
