#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: settings of the running kernel, and clock synchronisation."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: host_kernel
short_description: Set the running kernel's parameters, and check clock synchronisation
description:
  - Writes files below /proc/sys and /sys. Configuration files, which this module does not write,
    are needed to keep the values after a reboot.
  - Returns the settings that the kernel refuses, with the reason, and in a container all that
    differ, because its kernel is shared with its machine.
  - Fails if the clock is not synchronised.
options:
  settings:
    description: Paths below /proc/sys or /sys with their values.
    type: dict
    default: {}
  container:
    description: Whether the host is a container. Its kernel is then only checked, never changed.
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
  description: Settings that still differ, each with the reason.
  type: list
  elements: str
  returned: always
clock:
  description: What synchronises the clock.
  type: str
  returned: always
"""

DAEMONS = ("chronyd", "systemd-timesyncd", "ntpd")


def value(text: str) -> str:
    """Return the value of a file; of alternatives, the one in brackets."""
    chosen = text.partition("[")[2].partition("]")[0]
    return chosen or " ".join(text.split())


def settle(
    settings: dict[str, Any], *, container: bool, check_mode: bool
) -> tuple[list[str], list[str]]:
    """Set the values; return those that were changed, and those that could not be."""
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
    """Whether the kernel's clock is synchronised, by any daemon."""
    command = ["timedatectl", "show", "--property=NTPSynchronized", "--value"]
    return bool(module.run_command(command)[1].strip() == "yes")


def keeper() -> str:
    """Return the name of the time daemon."""
    for comm in Path("/proc").glob("[0-9]*/comm"):
        try:
            name = comm.read_text().strip()
        except OSError:
            continue
        # The kernel keeps fifteen characters of a name.
        for daemon in DAEMONS:
            if name == daemon[:15]:
                return daemon
    return ""


def clock(module: AnsibleModule) -> str:
    """Return what synchronises the clock; fail if nothing does."""
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
