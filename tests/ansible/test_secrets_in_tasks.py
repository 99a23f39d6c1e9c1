"""No task shows a secret: every task that is given one has `no_log: true` and `diff: false`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jinja2 import Environment, nodes
from tests.ansible.conftest import ROOT

SECRET = re.compile(r"(vault_.*)|(.*_)?(passwords?|passphrase|keyfile|tokens?|api_key|private_key)")
# Files of a service may hold secrets, whoever lists them.
CARRIERS = {"container_files"}
# They hand variables on to tasks that are looked at themselves, and print none.
INCLUDES = re.compile(r"(ansible\.builtin\.)?(include|import)_(role|tasks)")
KEYWORDS = {
    "name", "when", "register", "vars", "tags", "become", "delegate_to", "run_once", "notify",
    "changed_when", "failed_when", "check_mode", "diff", "no_log", "loop_control", "until",
    "retries", "delay", "async", "poll", "environment", "ignore_errors", "listen", "block",
    "rescue", "always", "connection", "throttle", "any_errors_fatal", "module_defaults",
}  # fmt: skip
BLOCKS = ("block", "rescue", "always", "tasks", "pre_tasks", "post_tasks", "handlers")

JINJA = Environment(autoescape=False)


def names(value: Any) -> set[str]:
    """Return the variables that the templates in a value mention."""
    if isinstance(value, dict):
        return set().union(*(names(below) for pair in value.items() for below in pair))
    if isinstance(value, list):
        return set().union(*(names(below) for below in value))
    if isinstance(value, str) and "{" in value:
        # Ansible takes a backslash in an expression for what it is.
        template = JINJA.parse(value.replace("\\", "\\\\"))
        return {node.name for node in template.find_all(nodes.Name)}
    return set()


def tainted(variables: dict[str, Any]) -> set[str]:
    """Return the variables that hold a secret, by their name or by what they are made of."""
    found = {name for name in variables if SECRET.fullmatch(name)} | CARRIERS
    while True:
        more = {
            name
            for name, value in variables.items()
            if name not in found
            and any(SECRET.fullmatch(used) or used in found for used in names(value))
        }
        if not more:
            return found
        found |= more


def tasks(entries: Any) -> Iterator[dict[str, Any]]:
    """Yield every task of a file, those in blocks and plays too."""
    for entry in entries or []:
        below = [key for key in BLOCKS if key in entry]
        for key in below:
            # What a block says counts for its tasks.
            inherited = {name: entry[name] for name in ("no_log", "diff") if name in entry}
            for task in tasks(entry[key]):
                yield inherited | task
        if not below and "hosts" not in entry:
            yield entry


def shown(entries: Any, variables: dict[str, Any]) -> list[str]:
    """Return the tasks that could show a secret, with what it is called."""
    secret = tainted(variables)
    found = []
    for task in tasks(entries):
        arguments = {key: value for key, value in task.items() if key not in KEYWORDS}
        used = {name for name in names(arguments) if SECRET.fullmatch(name) or name in secret}
        if not used or any(INCLUDES.fullmatch(key) for key in arguments):
            continue
        if task.get("no_log") is not True or task.get("diff") is not False:
            found.append(f"{task.get('name')}: {', '.join(sorted(used))}")
    return found


def variables_of(path: Path) -> dict[str, Any]:
    """Return the variables of the role that the file belongs to."""
    found: dict[str, Any] = {}
    # roles/NAME, whatever is below it.
    role = ROOT.joinpath(*path.relative_to(ROOT).parts[:2])
    for file in ("defaults/main.yml", "vars/main.yml"):
        if (role / file).exists():
            found |= yaml.safe_load((role / file).read_text()) or {}
    return found


FILES = sorted(
    path
    for pattern in (
        "roles/*/tasks/**/*.yml",
        "roles/*/handlers/*.yml",
        "playbooks/**/*.yml",
        "*.yml",
    )
    for path in ROOT.glob(pattern)
    if not path.name.startswith(".")
)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_tasks_with_secrets_show_nothing(path: Path) -> None:
    content = yaml.safe_load(path.read_text())
    assert shown(content if isinstance(content, list) else [], variables_of(path)) == []


HIDDEN = {"no_log": True, "diff": False}


@pytest.mark.parametrize(
    "task",
    [
        {"ansible.builtin.copy": {"content": "{{ vault_api_key }}"}},
        {"ansible.builtin.copy": {"content": "{{ kafka_password }}"}, "no_log": True},
        {"ansible.builtin.copy": {"content": "{{ kafka_password }}"}, "diff": False},
        {"ansible.builtin.copy": {"content": "{{ item }}"}, "loop": ["{{ admin_passphrase }}"]},
        {"block": [{"ansible.builtin.copy": {"content": "{{ __made }}"}}]},
        {"tasks": [{"service_files": {"files": "{{ container_files }}"}}]},
    ],
)
def test_the_rule_finds_a_task_that_would_show_a_secret(task: dict[str, Any]) -> None:
    made = {"__made": "a {{ __other }}", "__other": "{{ mongodb_keyfile | trim }}"}
    assert len(shown([task], made)) == 1


@pytest.mark.parametrize(
    "task",
    [
        {"ansible.builtin.copy": {"content": "{{ kafka_password }}"}, **HIDDEN},
        {"block": [{"ansible.builtin.copy": {"content": "{{ kafka_password }}"}}], **HIDDEN},
        {"ansible.builtin.copy": {"dest": "{{ passwords_path }}"}},
        {"ansible.builtin.include_role": {"name": "kafka"}, "vars": {"a": "{{ vault_a }}"}},
    ],
)
def test_the_rule_lets_other_tasks_pass(task: dict[str, Any]) -> None:
    assert shown([task], {}) == []
