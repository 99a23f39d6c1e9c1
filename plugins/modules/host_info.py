#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: inspect a host before its system is configured."""

from __future__ import annotations

import os
import pwd
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: host_info
short_description: Missing packages of a host, and whether SSH would lock out its user
description:
  - Reports missing packages, the time daemon, and whether the host is a container.
  - Fails if SSH with keys only and without root would lock out the current user.
  - Changes nothing.
options:
  packages:
    description: Packages that are wanted.
    type: list
    elements: str
    default: []
  ssh:
    description: Whether this connection is SSH.
    type: bool
    default: true
extends_documentation_fragment:
  - millrace
"""

EXAMPLES = r"""
- name: Inspect the host
  host_info:
    packages: [docker.io]
  register: host
"""

RETURN = r"""
missing:
  description: Packages that are not installed.
  type: list
  elements: str
  returned: always
time_daemon:
  description: Package of the time daemon. If none is installed, one is among the missing packages.
  type: str
  returned: always
container:
  description: Whether the host is a container, which shares the kernel and clock of its machine.
  type: bool
  returned: always
"""


TIME_DAEMONS = ("systemd-timesyncd", "chrony", "ntpsec")


def installed(module: AnsibleModule, packages: list[str]) -> set[str]:
    """Return the installed ones of the packages."""
    command = ["dpkg-query", "--show", "--showformat", "${Package} ${db:Status-Status}\n"]
    # It reports unknown packages as errors, and lists the others.
    _, output, _ = module.run_command([*command, *packages])
    return {line.split()[0] for line in output.splitlines() if line.endswith(" installed")}


def is_container(environ: bytes) -> bool:
    """Whether process 1's environment or files of container engines indicate a container."""
    told = any(entry.startswith(b"container=") for entry in environ.split(b"\0"))
    return told or Path("/.dockerenv").exists() or Path("/run/.containerenv").exists()


def lockout(user: str, keys: Path) -> str:
    """Explain why the user could no longer log in; otherwise empty."""
    if user == "root":
        return (
            "this connection logs in as root, which SSH will refuse:"
            " set ansible_user to a user that may use sudo, and ansible_become=true"
        )
    if not keys.is_file() or not keys.read_text().strip():
        return f"{user} has no key in {keys}, and SSH will take nothing else: put one there"
    return ""


def look(module: AnsibleModule) -> dict[str, Any]:
    """Return everything about this host."""
    if module.params["ssh"]:
        user = os.environ.get("SUDO_USER") or pwd.getpwuid(os.getuid()).pw_name
        home = Path(pwd.getpwnam(user).pw_dir)
        if problem := lockout(user, home / ".ssh" / "authorized_keys"):
            module.fail_json(msg=problem)
    wanted = module.params["packages"]
    present = installed(module, [*wanted, *TIME_DAEMONS])
    # Time daemons exclude each other: an installed one is kept.
    daemon = next((name for name in TIME_DAEMONS if name in present), "")
    lacking = [] if daemon else [TIME_DAEMONS[0]]
    return {
        "missing": [name for name in wanted if name not in present] + lacking,
        "time_daemon": daemon or TIME_DAEMONS[0],
        "container": is_container(Path("/proc/1/environ").read_bytes()),
    }


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "packages": {"type": "list", "elements": "str", "default": []},
            "ssh": {"type": "bool", "default": True},
        },
        supports_check_mode=True,
    )
    module.exit_json(changed=False, **look(module))


if __name__ == "__main__":
    main()
