"""Playbooks that operators run: what they ask exists, and what destroys asks first."""

from __future__ import annotations

from typing import Any

import jinja2
import pytest
import typer
import yaml
from tests.ansible.conftest import ROOT

from millrace import cli

PLAYBOOKS = sorted((ROOT / "playbooks").glob("*.yml"))
DESTRUCTIVE = {
    "reset_mongodb": ("deploy/begin.yml", "tasks/confirm_deletion.yml"),
    "deploy/teardown": ("begin.yml", "../tasks/confirm_deletion.yml"),
}
"""Playbooks, each with what it includes first."""


def plays(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load((ROOT / f"playbooks/{name}.yml").read_text())
    return found


def tasks(name: str) -> list[dict[str, Any]]:
    return [task for play in plays(name) for task in play.get("tasks", [])]


def test_every_proof_is_one_that_the_command_line_knows() -> None:
    verify: Any = typer.main.get_command(cli.verify.group)
    archive: Any = typer.main.get_command(cli.archive.group)
    proofs = [
        proof
        for path in PLAYBOOKS
        for task in tasks(path.stem)
        for proof in task.get("vars", {}).get("proofs", [])
    ]
    own = [proof["name"] for proof in proofs if "argv" not in proof]
    assert sorted(own) == sorted(verify.commands)
    [other] = [proof["argv"] for proof in proofs if "argv" in proof]
    assert other[:2] == ["millrace", "archive"]
    assert other[2] in archive.commands


@pytest.mark.parametrize("name", DESTRUCTIVE)
def test_what_destroys_asks_before_anything_else(name: str) -> None:
    begin, first, *_ = plays(name)
    included = (
        begin["ansible.builtin.import_playbook"],
        first["tasks"][0]["ansible.builtin.include_tasks"],
    )
    assert included == DESTRUCTIVE[name]


def test_the_processor_forgets_its_position_before_the_database_goes() -> None:
    roles = [
        (role["name"], role["tasks_from"])
        for task in tasks("reset_mongodb")
        if (role := task.get("ansible.builtin.include_role"))
    ]
    assert roles == [("kafka", "rewind"), ("mongodb", "remove")]
    # What is removed has to be made again.
    assert plays("reset_mongodb")[0]["vars"]["begin_needs_secrets"] is True


def test_the_status_is_shown_and_then_an_error_where_something_is_not_ready() -> None:
    shown, last = tasks("status")[-2:]
    assert shown["name"] == "Show the status"
    assert "ansible.builtin.fail" in last
    condition = jinja2.Environment(autoescape=True).compile_expression(last["when"])
    for answer, fails in (({"rc": 0}, False), ({"rc": 1}, True), ({"msg": "no container"}, True)):
        facts = {"groups": {"processor": ["here"]}, "hostvars": {"here": {"__status": answer}}}
        assert condition(**facts) is fails


def test_the_demonstration_polls_what_the_inventory_does_and_more() -> None:
    demo = yaml.safe_load((ROOT / "inventories/demo.yml").read_text())
    shared = yaml.safe_load((ROOT / "inventories/shared/producers.yml").read_text())
    producers = demo["millrace_producers"]
    names = [producer["name"] for producer in producers]
    assert len({*names}) == len(names)
    assert {producer["feed"] for producer in producers} == {*demo["millrace_feeds"]}
    usual = {producer["name"]: producer for producer in shared["millrace_producers"]}
    assert {name: usual[name] for name in usual} == {
        producer["name"]: producer for producer in producers if producer["name"] in usual
    }


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({}, "127.0.0.1"),
        # Alone on AWS: the services know the host's private address, and nobody outside reaches it.
        ({"controller": ["localhost"]}, "203.0.113.9"),
        ({"fleet": ["here", "there"]}, "203.0.113.9"),
    ],
)
def test_the_status_names_an_address_of_the_api_that_can_be_reached(
    more: dict[str, list[str]], says: str
) -> None:
    (names,) = (task["vars"] for task in tasks("status") if task["name"] == "Show the status")
    facts: dict[str, Any] = {
        "groups": {"fleet": ["here"], "api": ["here"]} | more,
        "hostvars": {"here": {"ansible_host": "203.0.113.9"}},
        "millrace_api_address": "127.0.0.1",
    }
    for name in ("__elsewhere", "__api"):
        expression = names[name].removeprefix("{{").removesuffix("}}")
        facts[name] = jinja2.Environment(autoescape=True).compile_expression(expression)(**facts)
    assert facts["__api"] == says
