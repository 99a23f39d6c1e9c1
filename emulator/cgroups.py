"""Control groups of containers inside a host, which a killed engine leaves behind."""

from __future__ import annotations

from pathlib import Path

PROC = Path("/proc")
ROOT = Path("/sys/fs/cgroup")


def descendants(pid: int) -> list[int]:
    """A process and its descendants, in any namespace."""
    found = [pid]
    for parent in found:
        for children in (PROC / str(parent) / "task").glob("*/children"):
            try:
                found += map(int, children.read_text().split())
            except OSError:
                continue  # it has just ended
    return found


def folder(line: str) -> Path:
    """The directory of a line of /proc/PID/cgroup, for control groups v1, v2 or both."""
    _, controllers, path = line.split(":", 2)
    hierarchy = controllers.removeprefix("name=")
    if not controllers and (ROOT / "unified").is_dir():
        hierarchy = "unified"  # version 2 beside version 1
    return ROOT / hierarchy / path.lstrip("/")


def inside(pid: int) -> set[Path]:
    """The control groups of all processes in a host."""
    found = set()
    for process in descendants(pid):
        try:
            lines = (PROC / str(process) / "cgroup").read_text().splitlines()
        except OSError:
            continue
        found |= {folder(line) for line in lines}
    # Processes of this machine itself are in its root group.
    return {path for path in found if len(path.relative_to(ROOT).parts) > 1}


def remove(groups: set[Path]) -> None:
    """Remove empty groups; the kernel keeps those with processes."""
    for path in sorted(groups, key=lambda item: len(item.parts), reverse=True):
        try:
            path.rmdir()
        except OSError:
            continue
