"""How Ansible calls ssh for a host on AWS, as ssh itself understands it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.ansible.conftest import ROOT

CONNECTION = ROOT / "inventories/aws/group_vars/fleet/+defaults/connection.yml"


def understood(path: Path, state: Path) -> dict[str, list[str]]:
    """What ssh would do: Ansible runs it, and `ssh -G` prints settings instead of connecting."""
    ssh = path / "ssh"
    ssh.write_text('#!/bin/sh\nexec ssh -G -F none "$@"\n')
    ssh.chmod(0o755)
    variables = {
        "millrace_connection": "ssh",
        "millrace_state_dir": state,
        "ec2_instance_id": "i-0123",
        "ansible_ssh_executable": ssh,
        "ansible_become": "false",
    }
    done = subprocess.run(
        [
            *(Path(sys.executable).parent / "ansible", "192.0.2.1", "--inventory=192.0.2.1,"),
            *("--module-name=raw", "--args=true", f"--extra-vars=@{CONNECTION}"),
            *(f"--extra-vars={name}='{value}'" for name, value in variables.items()),
        ],
        env=os.environ | {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    settings: dict[str, list[str]] = {}
    for line in done.stdout.splitlines():
        name, _, value = line.partition(" ")
        settings.setdefault(name, []).append(value)
    return settings


def test_only_the_key_of_the_environment_is_offered(tmp_path: Path) -> None:
    settings = understood(tmp_path, tmp_path)
    assert settings["identitiesonly"] == ["yes"]
    assert settings["identityfile"] == [f"{tmp_path}/ssh/id_ed25519"]
    assert settings["hostkeyalias"] == ["i-0123"]


def test_a_checkout_may_have_spaces_in_its_path(tmp_path: Path) -> None:
    # Two beside each other would become one where the path were taken for two files.
    state = tmp_path / "a  b"
    settings = understood(tmp_path, state)
    assert settings["hostname"] == ["192.0.2.1"]
    assert settings["userknownhostsfile"] == [f"{state}/ssh/known_hosts"]
    assert settings["identityfile"] == [f"{state}/ssh/id_ed25519"]
