"""The status says when the first certificate expires, and what to do before that."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import yaml
from tests.ansible.conftest import ROOT
from tests.ansible.test_certificates_due import Authority

ADVICE = ": ansible-playbook site.yml renews it"


def last_lines(path: Path, fleets: dict[str, list[str]]) -> dict[str, str]:
    """What the status ends with for each fleet, of which each host has certificates as one text."""
    play = yaml.safe_load((ROOT / "playbooks/status.yml").read_text())[1]
    shown = next(task for task in play["tasks"] if task["name"] == "Show the status")
    last = shown["ansible.builtin.debug"]["msg"].rstrip().splitlines()[-1]
    tasks = [
        {
            "name": f"Show the status of {name}",
            "ansible.builtin.copy": {"content": last, "dest": str(path / name), "mode": "0600"},
            # What is above the last line is the whole pipeline's.
            "vars": shown["vars"] | {"__hosts": [{"__certificates": {"stdout": x}} for x in texts]},
        }
        for name, texts in fleets.items()
    ]
    (path / "status.yml").write_text(
        yaml.safe_dump([{"hosts": "localhost", "gather_facts": False, "tasks": tasks}])
    )
    subprocess.run(
        [Path(sys.executable).parent / "ansible-playbook", "-i", "localhost,", "-c", "local",
         "-e", f"ansible_python_interpreter={sys.executable}", path / "status.yml"],
        cwd=path, check=True,
    )  # fmt: skip
    return {name: (path / name).read_text() for name in fleets}


def test_the_first_of_all_certificates_counts(tmp_path: Path) -> None:
    ends = {
        "later": (60.5, "in 60 days"),
        "soon": (29.5, f"in 29 days{ADVICE}"),
        "past": (-1.0, f"that is past{ADVICE}"),
    }
    authority = Authority()

    def fleet(first: float) -> list[str]:
        pems = [authority.issue(common_name="a", days=days) for days in (80, first, 90)]
        return ["\n".join(pems[:2]), pems[2], ""]

    lines = last_lines(
        tmp_path, {"none": [""]} | {name: fleet(days) for name, (days, _) in ends.items()}
    )
    assert lines.pop("none") == ""
    for name, (_, end) in ends.items():
        assert lines[name].startswith("Certificates: the first expires on 20")
        assert lines[name].endswith(f", {end}")
