#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: write, check and apply system configuration files together."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from ansible.module_utils import whole_files
from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: system_files
short_description: Write configuration files, check them, and have the system apply them
description:
  - Writes files owned by root. Other files of their directories are not changed.
  - After the files are written, the check of each changed one runs; if one fails, all files are
    restored and nothing is applied.
  - A command that applies files runs once, however many files need it. Its success is recorded, so
    that the next run applies what an interrupted one did not.
options:
  files:
    description: The files.
    type: list
    elements: dict
    required: true
    suboptions:
      path:
        description: The file. A missing directory is created.
        type: path
        required: true
      content:
        description: Content of the file. If empty, the file is removed.
        type: str
        required: true
      check:
        description: Command that fails if the written file cannot be used.
        type: list
        elements: str
        default: []
      apply:
        description: Command that makes the system use the file.
        type: list
        elements: str
        default: []
  state:
    description: File that records what was applied.
    type: path
    required: true
extends_documentation_fragment:
  - millrace
  - millrace.diff
"""

EXAMPLES = r"""
- name: Limit the journal
  system_files:
    state: /var/lib/example/applied.json
    files:
      - path: /etc/systemd/journald.conf.d/example.conf
        content: |
          [Journal]
          SystemMaxUse=200M
        apply: [systemctl, restart, systemd-journald]
"""

RETURN = r"""
changed_files:
  description: Files that were written, removed or applied.
  type: list
  elements: str
  returned: always
"""


class FilesError(Exception):
    """A problem, and the current state of the files."""


def read(path: Path) -> str | None:
    """Return the content of a file, if it exists."""
    try:
        return path.read_text()
    except FileNotFoundError:
        return None


def write(path: Path, content: str | None) -> None:
    """Replace the file atomically, or remove it."""
    if not content:
        with suppress(FileNotFoundError):
            path.unlink()
            whole_files.keep_names(path.parent)
        return
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    whole_files.replace(path, content.encode(), mode=0o644)


def digest(file: dict[str, Any]) -> str:
    """Identify a content together with the command that applies it."""
    text = json.dumps([file["content"], file["apply"]])
    return hashlib.sha256(text.encode()).hexdigest()


def is_pending(file: dict[str, Any], applied: dict[str, str]) -> bool:
    """Whether the file was written but not applied. A file that never existed is not pending."""
    known = applied.get(file["path"])
    return known != digest(file) and not (known is None and not file["content"])


def run(module: AnsibleModule, command: list[str]) -> str:
    """Run a command; return its output if it fails."""
    status, output, errors = module.run_command(command)
    return "" if status == 0 else f"{' '.join(command)}: {(errors or output).strip()}"


def change(module: AnsibleModule, files: list[dict[str, Any]], before: dict[str, Any]) -> None:
    """Write the files and check them; restore all of them if one cannot be used."""
    for file in files:
        write(Path(file["path"]), file["content"])
    for file in files:
        complaint = run(module, file["check"]) if file["check"] else ""
        if complaint:
            for path, content in before.items():
                write(Path(path), content)
            raise FilesError(f"{file['path']} cannot be used, all files are unchanged: {complaint}")


def ensure(module: AnsibleModule) -> dict[str, Any]:
    """Write and apply what is missing."""
    files: list[dict[str, Any]] = module.params["files"]
    state = Path(module.params["state"])
    applied: dict[str, str] = json.loads(read(state) or "{}")
    before = {file["path"]: read(Path(file["path"])) for file in files}
    outdated = [file for file in files if (before[file["path"]] or "") != file["content"]]
    due = [file for file in files if file in outdated or is_pending(file, applied)]
    if due and not module.check_mode:
        change(module, outdated, before)
        commands = []
        for file in due:
            if file["apply"] and file["apply"] not in commands:
                commands.append(file["apply"])
        for command in commands:
            if complaint := run(module, command):
                raise FilesError(complaint)
        applied |= {file["path"]: digest(file) for file in due}
        state.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        write(state, json.dumps(applied, indent=1, sort_keys=True) + "\n")
    diff = [
        {
            "before": before[file["path"]] or "",
            "after": file["content"],
            "before_header": file["path"],
            "after_header": file["path"],
        }
        for file in outdated
    ]
    changed = [file["path"] for file in due]
    return {"changed": bool(changed), "changed_files": changed, "diff": diff}


def main() -> None:
    """Run the module."""
    command = {"type": "list", "elements": "str", "default": []}
    module = AnsibleModule(
        argument_spec={
            "files": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "path": {"type": "path", "required": True},
                    "content": {"type": "str", "required": True},
                    "check": command,
                    "apply": command,
                },
            },
            "state": {"type": "path", "required": True},
        },
        supports_check_mode=True,
    )
    try:
        module.exit_json(**ensure(module))
    except (FilesError, OSError, ValueError) as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
