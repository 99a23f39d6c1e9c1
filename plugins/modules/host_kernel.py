#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: settings of the running kernel, and a clock that is right."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: host_kernel
short_description: Have the running kernel and the clock as they should be
description:
  - Makes files below /proc/sys and /sys say what is wanted. What keeps that after a reboot is
    configuration files, which are not this module's business.
  - What the kernel refuses is returned, with its reason, and so is every setting of a container
    that differs - its kernel is that of its machine, and other people's.
  - Fails where the clock is not synchronised.
options:
  settings:
    description: Paths below /proc/sys or /sys and what they have to say.
    type: dict
    default: {}
  container:
    description: Whether the host is a container. Its kernel is then looked at and never changed.
    type: bool
    default: false
  clock_timeout:
    description: Seconds to wait until the clock is synchronised.
    type: int
    default: 60
extends_documentation_fragment:
  - millrace
"""

EXAMPLES = r"""
- name: Set the number of memory maps that Kafka may have
  host_kernel:
    settings: {/proc/sys/vm/max_map_count: "262144"}
"""

RETURN = r"""
done:
  description: Settings that were changed, or would be.
  type: list
  elements: str
  returned: always
left:
  description: Settings that are not as wanted, each with the reason.
  type: list
  elements: str
  returned: always
clock:
  description: What keeps the clock right.
  type: str
  returned: always
"""

DAEMONS = ("chronyd", "systemd-timesyncd", "ntpd")


def value(text: str) -> str:
    """Return what a file says: of alternatives, the one in brackets."""
    chosen = text.partition("[")[2].partition("]")[0]
    return chosen or " ".join(text.split())


def settle(
    settings: dict[str, Any], *, container: bool, check_mode: bool
) -> tuple[list[str], list[str]]:
    """Make the files say what is wanted; return what was changed, and what could not be."""
    done, left = [], []
    for name, setting in settings.items():
        path, wanted = Path(name), str(setting)
        try:
            found = value(path.read_text())
            if found == wanted:
                continue
            if container:
                left.append(f"{name} is {found}, not {wanted}: the kernel is the machine's")
                continue
            if not check_mode:
                path.write_text(wanted)
        except OSError as error:
            left.append(f"{name} is not {wanted}: {error.strerror}")
            continue
        done.append(f"{name}: {found} -> {wanted}")
    return done, left


def synchronised(module: AnsibleModule) -> bool:
    """Whether the kernel's clock is disciplined, by whatever daemon."""
    command = ["timedatectl", "show", "--property=NTPSynchronized", "--value"]
    return bool(module.run_command(command)[1].strip() == "yes")


def keeper() -> str:
    """Return the name of the daemon that keeps the time."""
    for comm in Path("/proc").glob("[0-9]*/comm"):
        try:
            name = comm.read_text().strip()
        except OSError:
            continue
        # The kernel knows fifteen characters of a name.
        for daemon in DAEMONS:
            if name == daemon[:15]:
                return daemon
    return ""


def clock(module: AnsibleModule) -> str:
    """Say what keeps the clock right; fail where nothing does."""
    if module.params["container"]:
        return "the machine's: a container has no clock of its own"
    deadline = time.monotonic() + module.params["clock_timeout"]
    while not synchronised(module):
        if module.check_mode:
            return "not synchronised yet"
        if time.monotonic() >= deadline:
            daemon = keeper()
            what = f"{daemon} runs, and has reached no time server" if daemon else "nothing sets it"
            module.fail_json(msg=f"the clock is not synchronised, as TLS needs it: {what}")
        time.sleep(1)
    return keeper() or "synchronised"


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "settings": {"type": "dict", "default": {}},
            "container": {"type": "bool", "default": False},
            "clock_timeout": {"type": "int", "default": 60},
        },
        supports_check_mode=True,
    )
    done, left = settle(
        module.params["settings"],
        container=module.params["container"],
        check_mode=module.check_mode,
    )
    module.exit_json(changed=bool(done), done=done, left=left, clock=clock(module))


if __name__ == "__main__":
    main()
