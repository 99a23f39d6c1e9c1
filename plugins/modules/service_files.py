#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: write all files of a container, and return their digest."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

from ansible.module_utils import whole_files
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.causes import told

DOCUMENTATION = r"""
module: service_files
short_description: Write all files of a container and return their digest
description:
  - Makes a directory contain exactly the listed files, each readable by one user only.
  - The returned digest identifies this exact set of files. If the container that mounts the
    directory has it as a label, every change recreates the container, also if an earlier run was
    killed after it wrote the files.
  - Parent directories can be read by root only, because a container's user id may be a person's on
    the host.
options:
  path:
    description: The directory. It is created if it is missing.
    type: path
    required: true
  owner:
    description: Numeric user id that owns the directory and its files.
    type: int
    required: true
  group:
    description: Numeric group id of the directory and its files.
    type: int
    required: true
  files:
    description: Every file of the directory. Others are removed.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: File name, without a directory.
        type: str
        required: true
      content:
        description: The content of the file. Either this or O(files[].sources) is given.
        type: str
      sources:
        description: Files of the host, whose contents are concatenated to this one.
        type: list
        elements: path
      mode:
        description: Permissions in octal. A program may have to write to a copy that keeps them.
        type: str
        default: "0400"
      secret:
        description: Whether the content is left out of the diff.
        type: bool
        default: true
extends_documentation_fragment:
  - millrace
attributes:
  check_mode:
    support: full
    description: Sources that an earlier task would have created may be missing.
  diff_mode:
    support: full
    description: Secret contents are shown as V(<secret>).
"""

EXAMPLES = r"""
- name: Write the files of the broker
  service_files:
    path: /etc/millrace/kafka-1
    owner: 1000
    group: 1000
    files:
      - name: server.properties
        content: "{{ lookup('ansible.builtin.template', 'server.properties.j2') }}"
        secret: false
      - name: tls.pem
        sources: [/etc/millrace/pki/kafka-1/key.pem, /etc/millrace/pki/kafka-1/cert.pem]
  register: files
  no_log: true
"""

RETURN = r"""
digest:
  description: SHA-256 over the names and contents of all files.
  type: str
  returned: always
changed_files:
  description: Names of the files that were written or removed.
  type: list
  elements: str
  returned: always
"""

DIRECTORY_MODE = 0o700
HIDDEN = "<secret>\n"


def digest(files: dict[str, bytes]) -> str:
    """Identify this set of files; lengths are included, so that no two sets share a digest."""
    total = hashlib.sha256()
    for name, content in sorted(files.items()):
        total.update(f"{len(name.encode())}:{name}{len(content)}:".encode())
        total.update(content)
    return total.hexdigest()


def wanted(entries: list[dict[str, Any]], *, check_mode: bool) -> dict[str, bytes]:
    """Return the content of every listed file; raise ValueError if the list is wrong."""
    files: dict[str, bytes] = {}
    for entry in entries:
        name = entry["name"]
        if name in {"", ".", ".."} or "/" in name or name in files:
            raise ValueError(f"'{name}' is not a file name, or is listed twice")
        if (entry["content"] is None) == (entry["sources"] is None):
            raise ValueError(f"{name}: give either content or sources")
        if entry["content"] is not None:
            files[name] = entry["content"].encode()
            continue
        sources = [Path(source) for source in entry["sources"]]
        missing = [str(source) for source in sources if not source.is_file()]
        if missing and not check_mode:
            raise ValueError(f"{name}: no such file: {', '.join(missing)}")
        files[name] = b"".join(source.read_bytes() for source in sources if source.is_file())
    return files


def differs(path: Path, content: bytes, attributes: tuple[int, int, int]) -> bool:
    """Whether the file is missing or differs from what is wanted."""
    if path.is_symlink() or not path.is_file():
        return True
    stat = path.stat()
    if (stat.st_uid, stat.st_gid, stat.st_mode & 0o7777) != attributes:
        return True
    return path.read_bytes() != content


def make_directory(path: Path, owner: int, group: int, *, check_mode: bool) -> bool:
    """Create the directory with its owner and mode; return whether anything changed."""
    if path.is_dir():
        stat = path.stat()
        if (stat.st_uid, stat.st_gid, stat.st_mode & 0o7777) == (owner, group, DIRECTORY_MODE):
            return False
    if not check_mode:
        for parent in reversed(path.parents):
            parent.mkdir(mode=DIRECTORY_MODE, exist_ok=True)
        path.mkdir(mode=DIRECTORY_MODE, exist_ok=True)
        os.chown(path, owner, group)
        path.chmod(DIRECTORY_MODE)
    return True


def diff_of(path: Path, entry: dict[str, Any] | None, content: bytes | None) -> dict[str, str]:
    """Describe one file's change, without content that is or may be secret."""
    hidden = entry is None or entry["secret"]

    def shown(data: bytes | None) -> str:
        if data is None:
            return ""
        return HIDDEN if hidden else data.decode(errors="replace")

    before = path.read_bytes() if path.is_file() else None
    return {
        "before_header": str(path),
        "after_header": str(path),
        "before": shown(before),
        "after": shown(content),
    }


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "owner": {"type": "int", "required": True},
            "group": {"type": "int", "required": True},
            "files": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "name": {"type": "str", "required": True},
                    "content": {"type": "str"},
                    "sources": {"type": "list", "elements": "path"},
                    "mode": {"type": "str", "default": "0400"},
                    "secret": {"type": "bool", "default": True, "no_log": False},
                },
            },
        },
        supports_check_mode=True,
    )
    directory = Path(module.params["path"])
    owner, group, check_mode = module.params["owner"], module.params["group"], module.check_mode
    entries = {entry["name"]: entry for entry in module.params["files"]}
    module.no_log_values.update(
        entry["content"] for entry in entries.values() if entry["secret"] and entry["content"]
    )
    with told(module, str(directory)):
        try:
            files = wanted(module.params["files"], check_mode=check_mode)
            attributes = {name: (owner, group, int(entries[name]["mode"], 8)) for name in files}
            changed = make_directory(directory, owner, group, check_mode=check_mode)
            present = {path.name for path in directory.iterdir()} if directory.is_dir() else set()
            stale = sorted(present - files.keys())
            outdated = sorted(
                name
                for name, content in files.items()
                if differs(directory / name, content, attributes[name])
            )
            diff = [
                diff_of(directory / name, entries.get(name), files.get(name))
                for name in [*outdated, *stale]
            ]
            if not check_mode:
                for name in outdated:
                    mode = attributes[name][2]
                    whole_files.replace(
                        directory / name, files[name], mode=mode, owner=(owner, group)
                    )
                for name in stale:
                    (directory / name).unlink()
                if stale:
                    whole_files.keep_names(directory)
        except (OSError, ValueError) as error:
            module.fail_json(msg=f"{directory}: {error}")
    module.exit_json(
        changed=changed or bool(outdated or stale),
        changed_files=[*outdated, *stale],
        digest=digest(files),
        diff=diff,
    )


if __name__ == "__main__":
    main()
