"""What the controller keeps of a deployment is kept from another one of the same name."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.ansible.conftest import ROOT


def told(inventory: str, variable: str) -> str:
    """Ask an inventory for a variable; AWS is not asked."""
    return (
        subprocess.run(
            [
                Path(sys.executable).with_name("ansible"),
                f"--inventory={ROOT}/inventories/{inventory}",
                "localhost",
                "--module-name=ansible.builtin.debug",
                f"--args=msg=<{{{{ {variable} }}}}>",
            ],
            cwd=ROOT / "playbooks",
            env=dict(os.environ) | {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")},
            capture_output=True,
            text=True,
            check=True,
        )
        .stdout.partition("<")[2]
        .partition(">")[0]
    )


def test_this_machine_and_aws_share_a_name_and_nothing_that_is_kept() -> None:
    local, aws = "local/hosts.yml", "aws/hosts.yml"
    assert told(local, "millrace_instance") == told(aws, "millrace_instance") == "millrace"
    kept = [told(inventory, "millrace_state_dir") for inventory in (local, aws)]
    assert kept == [f"{ROOT}/.millrace/millrace", f"{ROOT}/.millrace/millrace-us-east-1"]
