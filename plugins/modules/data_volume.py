#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: format a blank data volume, and mount it."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from typing import Any

from ansible.module_utils import whole_files
from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: data_volume
short_description: Format a blank volume and mount it by its UUID
description:
  - A volume with any content is never formatted. One with an ext4 file system is mounted as it is;
    any other is refused.
  - The fstab entry has the file system's UUID, so that neither changed device names nor another
    volume in its place matter. A missing volume does not keep the host from booting.
  - A mount point that is not empty is refused, because the mount would hide its files.
options:
  device:
    description: The device. It may be a symlink.
    type: path
    required: true
  path:
    description: Mount point.
    type: path
    required: true
  wait:
    description: Seconds to wait for the device.
    type: int
    default: 60
  fstab:
    description: The fstab file.
    type: path
    default: /etc/fstab
extends_documentation_fragment:
  - millrace
  - millrace.diff
"""

EXAMPLES = r"""
- name: Mount the volume for data
  data_volume:
    device: /dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_vol0123456789abcdef0
    path: /srv/data
"""

RETURN = r"""
uuid:
  description: UUID of the file system; empty if it does not exist yet, in check mode.
  type: str
  returned: always
done:
  description: What was done, or would be.
  type: list
  elements: str
  returned: always
"""

OPTIONS = "defaults,nofail,x-systemd.device-timeout=10s"
NOTHING_FOUND = 2
CHUNK = 1 << 20
SAMPLES = 64


class VolumeError(Exception):
    """The reason why the volume cannot be used, and what to do."""


def find(device: Path, wait: float) -> Path:
    """Resolve the device; a newly attached volume takes some seconds to appear."""
    deadline = time.monotonic() + wait
    while not device.exists():
        if time.monotonic() >= deadline:
            raise VolumeError(f"{device} is not there: is the volume attached to this host?")
        time.sleep(0.5)
    return device.resolve()


def identify(module: AnsibleModule, device: Path) -> dict[str, str]:
    """Name the content of the device by its signatures; empty for a blank one."""
    command = ["blkid", "--probe", "--output", "export", str(device)]
    status, output, errors = module.run_command(command)
    if status == NOTHING_FOUND:
        return {}
    if status != 0:
        raise VolumeError(f"cannot determine what {device} holds: {errors.strip() or status}")
    return dict(line.split("=", 1) for line in output.splitlines() if "=" in line)


def is_blank(device: Path) -> bool:
    """Whether the device has only zeroes at its beginning, its end and at samples between."""
    with device.open("rb") as stream:
        size = stream.seek(0, os.SEEK_END)
        last = max(0, size - CHUNK)
        for start in sorted({last * part // SAMPLES for part in range(SAMPLES + 1)}):
            stream.seek(start)
            if stream.read(CHUNK).strip(b"\0"):
                return False
    return True


def mounted(path: Path, table: str) -> str | None:
    """Return the device mounted at the path."""
    for line in table.splitlines():
        source, target = line.split()[:2]
        if target == str(path):
            return os.path.realpath(source)
    return None


def with_mount(fstab: str, uuid: str, path: Path) -> str:
    """Return the fstab with one entry for the path."""
    kept = [line for line in fstab.splitlines() if not re.match(rf"[^#\s]\S*\s+{path}\s", line)]
    return "\n".join([*kept, f"UUID={uuid} {path} ext4 {OPTIONS} 0 2"]) + "\n"


def run(module: AnsibleModule, *command: str) -> None:
    """Run a command that must succeed."""
    status, output, errors = module.run_command(list(command))
    if status != 0:
        raise VolumeError(f"{' '.join(command)}: {errors.strip() or output.strip()}")


def prepare(module: AnsibleModule, device: Path, done: list[str]) -> str:
    """Create the file system if there is none; return its UUID, empty in check mode."""
    holds = identify(module, device)
    if not holds:
        if not is_blank(device):
            raise VolumeError(
                f"{device} holds something unknown: it is not formatted. Attach the right volume,"
                f" or empty it yourself (wipefs does not do: blkdiscard --zeroout {device})"
            )
        done.append(f"format {device} with ext4")
        if module.check_mode:
            return ""
        run(module, "mkfs.ext4", "-q", "-m", "0", str(device))
        holds = identify(module, device)
    if holds.get("TYPE") != "ext4":
        kind = holds.get("TYPE") or f"partition table {holds.get('PTTYPE', '')}".strip()
        raise VolumeError(f"{device} holds {kind}, not ext4: it is left alone")
    return holds["UUID"]


def ensure(module: AnsibleModule) -> dict[str, Any]:
    """Do what is missing; return what was done."""
    path, fstab = Path(module.params["path"]), Path(module.params["fstab"])
    done: list[str] = []
    device = find(Path(module.params["device"]), module.params["wait"])
    uuid = prepare(module, device, done)
    before = fstab.read_text() if fstab.exists() else ""
    after = with_mount(before, uuid, path) if uuid else before
    if after != before:
        done.append(f"write {fstab}")
        if not module.check_mode:
            path.mkdir(mode=0o711, parents=True, exist_ok=True)
            # A truncated fstab would keep the machine from booting.
            whole_files.replace(fstab, after.encode(), mode=0o644)
            run(module, "systemctl", "daemon-reload")
    there = mounted(path, Path("/proc/self/mounts").read_text())
    if there is not None and there != str(device):
        raise VolumeError(f"{there} is mounted at {path}, not {device}: unmount it first")
    if there is None:
        if path.is_dir() and any(path.iterdir()):
            raise VolumeError(f"{path} is not mounted and holds files: move them away first")
        done.append(f"mount {path}")
        if not module.check_mode:
            run(module, "mount", str(path))
    diff = {"before": before, "after": after, "before_header": str(fstab)}
    return {"changed": bool(done), "done": done, "uuid": uuid, "diff": diff}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "device": {"type": "path", "required": True},
            "path": {"type": "path", "required": True},
            "wait": {"type": "int", "default": 60},
            "fstab": {"type": "path", "default": "/etc/fstab"},
        },
        supports_check_mode=True,
    )
    try:
        module.exit_json(**ensure(module))
    except (VolumeError, OSError) as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
