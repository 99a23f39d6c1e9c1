"""A run ends at its first failure and says it last; a run of nothing is none."""

from __future__ import annotations

import configparser
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.ansible.conftest import ROOT, ansible_playbook

# Tiers of a deployment: brokers on two hosts, processors on a third.
HOSTS = {"kafka": ["a", "b"], "processor": ["c"]}
LAST = "The run ended because of this:"
ON_B = "inventory_hostname == 'b'"
REFUSED = {
    "ansible_connection": f"{{{{ 'ssh' if {ON_B} else 'local' }}}}",
    "ansible_host": "127.0.0.1",
    "ansible_port": 1,
}
FAIL: dict[str, Any] = {
    "name": "Run the broker",
    "ansible.builtin.fail": {"msg": "no such image"},
    "when": ON_B,
}
SAY: dict[str, Any] = {"ansible.builtin.debug": {"msg": "went on"}}


class Runs:
    """Playbooks of a test, run with the project's own configuration."""

    def __init__(self, path: Path) -> None:
        local = {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
        }
        groups = {name: {"hosts": dict.fromkeys(hosts)} for name, hosts in HOSTS.items()}
        self.inventory, self.playbook = path / "hosts.yml", path / "playbook.yml"
        self.inventory.write_text(yaml.safe_dump({"all": {"vars": local, "children": groups}}))

    def run(self, plays: list[dict[str, Any]], *arguments: str) -> tuple[int, str]:
        """Run plays; return the exit status and what was printed."""
        self.playbook.write_text(yaml.safe_dump(plays))
        inventory = f"--inventory={self.inventory}"
        done = ansible_playbook(inventory, *arguments, self.playbook, together=True)
        return done.returncode, done.stdout


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    return Runs(tmp_path)


def tiers(*first: dict[str, Any], **keys: Any) -> list[dict[str, Any]]:
    return [
        {"hosts": "kafka", "tasks": [*first, SAY], **keys},
        {"hosts": "processor", "tasks": [SAY]},
    ]


@pytest.mark.parametrize(
    ("task", "code", "says"),
    [
        (FAIL, 2, "b: Run the broker\nno such image"),
        (
            {"name": "Ask", "ansible.builtin.ping": {}, "vars": REFUSED},
            4,
            "b: Ask\nTask failed: Data could not be sent to remote host",
        ),
        (
            {
                "block": [FAIL],
                "rescue": [
                    {
                        "ansible.builtin.meta": "end_host",
                        "when": "ansible_failed_result is not defined",
                    },
                    {
                        "name": "Say why",
                        "ansible.builtin.fail": {"msg": "its log: {{ ansible_failed_result.msg }}"},
                    },
                ],
            },
            2,
            "b: Say why\nits log: no such image",
        ),
        (
            {
                "name": "Ask each",
                "loop": [0, 1],
                "ansible.builtin.command": {
                    "argv": ["sh", "-c", "echo port $0 >&2; exit $0", "{{ item }}"]
                },
                "when": ON_B,
            },
            2,
            "b: Ask each\nnon-zero return code\nport 1",
        ),
    ],
    ids=["failed", "unreachable", "rescued and failed", "one of a loop"],
)
def test_a_tier_that_fails_ends_the_run_and_its_cause_is_last(
    runs: Runs, task: dict[str, Any], code: int, says: str
) -> None:
    status, output = runs.run(tiers(task))
    assert status == code
    assert "went on" not in output
    assert output.rpartition(LAST)[2].strip().startswith(says)
    # Nothing but the cause follows, however long it was: no recap, no times.
    assert "RECAP" not in output.rpartition(LAST)[2]


@pytest.mark.parametrize(
    ("task", "keys"),
    [
        (
            {"block": [FAIL], "rescue": [{"ansible.builtin.meta": "noop"}]},
            {"any_errors_fatal": False},
        ),
        (FAIL | {"ignore_errors": True}, {}),
        (
            {"ansible.builtin.ping": {}, "vars": REFUSED, "ignore_unreachable": True},
            {"any_errors_fatal": False},
        ),
    ],
    ids=["rescued", "ignored", "unreachable and ignored"],
)
def test_what_is_handled_ends_nothing(
    runs: Runs, task: dict[str, Any], keys: dict[str, Any]
) -> None:
    status, output = runs.run(tiers(task, **keys))
    assert status == 0
    assert output.count("went on") >= 2
    assert LAST not in output


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--tags=kafak"], "no task has the tag kafak. Tags: kafka, never_mind"),
        (["--tags=kafka,kafak"], "no task has the tag kafak. Tags: kafka, never_mind"),
        (["--skip-tags=kafak"], "no task has the tag kafak. Tags: kafka, never_mind"),
        (["--skip-tags=kafka,never_mind"], "no host of this inventory and no task is left"),
        (["--start-at-task=nothing"], "no host of this inventory and no task is left"),
        (["--limit=c"], "no host of this inventory and no task is left"),
    ],
)
def test_a_run_of_nothing_fails(runs: Runs, arguments: list[str], says: str) -> None:
    always = {"hosts": "all", "tags": ["always"], "tasks": [SAY]}
    kafka = {"hosts": "kafka", "tags": ["kafka"], "tasks": [SAY | {"tags": ["never_mind"]}]}
    status, output = runs.run([always, kafka], *arguments)
    assert status == 1
    assert f"Nothing was done: {says}" in output.splitlines()[-1]


@pytest.mark.parametrize(
    "argument", ["--tags=kafka", "--skip-tags=notest,molecule-notest,molecule-idempotence-notest"]
)
def test_tags_that_exist_select(runs: Runs, argument: str) -> None:
    status, output = runs.run([{"hosts": "kafka", "tags": ["kafka"], "tasks": [SAY]}], argument)
    assert status == 0
    assert "went on" in output


def blocks(tasks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    inner = [
        x for task in tasks for key in ("block", "rescue", "always") for x in task.get(key, [])
    ]
    return [*tasks, *(blocks(inner) if inner else [])]


def test_no_play_and_no_task_goes_on_after_a_failure() -> None:
    """Status alone does: that a host is down is what it is asked for."""
    config = configparser.ConfigParser()
    config.read(ROOT / "ansible.cfg")
    assert config["defaults"].getboolean("any_errors_fatal")
    going_on = []
    for path in sorted((ROOT / "playbooks").rglob("*.yml")) + sorted(
        ROOT.glob("roles/*/tasks/**/*.yml")
    ):
        content = yaml.safe_load(path.read_text())
        entries = content if isinstance(content, list) else []
        below = [
            task
            for entry in entries
            for key in ("tasks", "pre_tasks", "post_tasks", "handlers")
            for task in entry.get(key, [])
        ]
        for item in [*entries, *blocks(entries + below)]:
            keys = {
                "ignore_errors",
                "ignore_unreachable",
                "max_fail_percentage",
                "any_errors_fatal",
            }
            if keys & item.keys():
                going_on.append(path.name)
    # In begin.yml past a host that is away, where a playbook does without it (test_host_lease).
    assert set(going_on) == {"begin.yml", "status.yml"}


def test_a_rescue_on_many_hosts_says_nothing_where_nothing_failed() -> None:
    """Ansible sends each host into the rescue when the block fails on one."""
    for path in sorted(ROOT.glob("roles/*/tasks/**/*.yml")):
        # That of AWS runs on the controller, and nowhere else.
        if path.is_relative_to(ROOT / "roles/aws"):
            continue
        for task in blocks(yaml.safe_load(path.read_text())):
            if "rescue" in task:
                first = task["rescue"][0]
                assert first["ansible.builtin.meta"] == "end_host", path
                assert first["when"] == "ansible_failed_result is not defined", path
