"""Every command that the documentation or a message has people type is run by some test."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from tests.ansible.conftest import ROOT
from tests.documented.commands import PAGES, blocks, inline
from tests.documented.terminal import type_in
from tests.documented.where import ALONE, AWS, RUN_BY, RUN_BY_NOBODY, SESSIONS, Session, bare, typed
from typer.testing import CliRunner

from millrace.cli import app

SOURCES = ["images", "inventories", "emulator", "playbooks", "plugins", "roles", "scripts"]
SOURCES += ["services/src", "Makefile"]
NAMED = re.compile(
    r"(?:`|[Rr]un )(?:\.venv/bin/)?"
    r"((?:ansible-playbook |make |scripts/|images/(?:build|push)\b|millrace )[^`\"'{};,()\n]*)"
)


def on_the_page(page: str) -> list[str]:
    """Every command of a page."""
    found = [command for item in blocks(page) for command in item.commands] + inline(page)
    if page == "docs/aws.md":
        # A table of what follows the beginning that its head has.
        rows = re.findall(r"^\| [^|]*\| (`[^|]*) \|$", (ROOT / page).read_text(), re.MULTILINE)
        cells = [cell for row in rows for cell in re.findall(r"`([^`]+)`", row)]
        found += [AWS + cell for cell in cells if re.match(r"(playbooks/|site|teardown)", cell)]
        found.remove(AWS.strip())
    return [bare(command) for command in found]


@pytest.mark.parametrize("page", PAGES)
def test_every_command_is_run_by_a_test(page: str) -> None:
    assert set(on_the_page(page)) <= {*typed(), *RUN_BY, *RUN_BY_NOBODY}


@pytest.mark.parametrize("command", RUN_BY)
def test_the_test_that_is_named_runs_it(command: str) -> None:
    path, words = RUN_BY[command]
    assert words in (ROOT / path).read_text()


def test_no_command_is_listed_that_no_page_has() -> None:
    written = {command for page in PAGES for command in on_the_page(page)}
    assert len(written) > 80
    assert {*RUN_BY, *RUN_BY_NOBODY} <= written


@pytest.mark.parametrize("session", SESSIONS, ids=lambda one: one.first)
def test_every_session_is_on_its_page(session: Session) -> None:
    assert session.commands


@pytest.mark.parametrize(("page", "command"), ALONE)
def test_every_single_command_is_on_its_page(page: str, command: str) -> None:
    assert command in inline(page)


def test_a_shell_is_made_ready_for_ansible() -> None:
    page = "scripts/bootstrap && . scripts/environment"
    made_ready = type_in(f"{page}\ncommand -v ansible-playbook")
    assert made_ready.output.strip() == str(ROOT / ".venv/bin/ansible-playbook")


def test_make_starts_the_emulation_as_its_scenario_does() -> None:
    shown = subprocess.run(
        ["make", "--dry-run", "aws-lab"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert shown.stdout.splitlines()[-1].split() == ["python", "-m", "emulator", "up"]
    tasks = yaml.safe_load((ROOT / "molecule/aws/create.yml").read_text())[0]["tasks"]
    argv = tasks[0]["ansible.builtin.command"]["argv"]
    assert [word for word in argv[1:] if not word.startswith("--")] == ["-m", "emulator", "up"]


def messages() -> list[str]:
    """Commands that messages and comments name, without what stands for something else."""
    listed = subprocess.run(
        ["git", "ls-files", "--", *SOURCES], cwd=ROOT, capture_output=True, text=True, check=True
    )
    paths = [ROOT / name for name in listed.stdout.splitlines()]
    found = set()
    for path in paths:
        if path.is_file() and path.suffix not in {".md", ".json"}:
            text = re.sub(r"\"?\s*\n\s*(# |\")?", " ", path.read_text())
            found |= {" ".join(item.split()) for item in NAMED.findall(text)}
    return sorted(item for item in found if "<" not in item and "NAME" not in item)


@pytest.mark.parametrize("command", messages())
def test_what_a_message_names_is_there_to_be_typed(command: str) -> None:
    words = command.removesuffix(" ...").split()
    match words:
        case ["make", target]:
            # What it would do is shown, and nothing is done.
            shell = ["make", "--dry-run", target]
        case ["ansible-playbook", *rest]:
            shell = [str(Path(sys.executable).with_name("ansible-playbook")), "--list-tags", *rest]
        case ["millrace", *rest]:
            assert CliRunner().invoke(app, [*rest, "--help"]).exit_code == 0
            return
        case [script, *_]:
            assert (ROOT / script).is_file()
            shell = ["test", "-x", script]
    done = subprocess.run(shell, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_messages_name_commands() -> None:
    assert {"scripts/bootstrap", "make status", "ansible-playbook playbooks/engine.yml"} <= set(
        messages()
    )


def test_a_question_is_answered_and_what_was_seen_is_told() -> None:
    asks = 'read -p "name? " name && echo "hello $name" && test -t 0'
    seen = type_in(asks, [("name[?] ", "somebody\n")], seconds=10)
    assert (seen.status, "hello somebody" in seen.output) == (0, True)
    assert type_in("false; echo on", seconds=10).status == 1
    # As Ansible's pause does: what is typed before it listens is dropped.
    late = "printf 'name? '; sleep 0.5; python3 -c 'import tty; tty.setcbreak(0); print(input()*2)'"
    assert "meme" in type_in(late, [("name[?] ", "me\n")], seconds=10).output
    with pytest.raises(AssertionError, match="never asked 'more'"):
        type_in("echo done", [("more", "")], seconds=10)
    with pytest.raises(AssertionError, match="has not ended after 1 s"):
        type_in("sleep 30", seconds=1)
