"""The help of each command: what it says is so."""

import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from millrace import config
from millrace.cli import app
from millrace.config import ENV_PREFIX, Settings
from millrace.config.secret_files import ADMINISTRATOR
from millrace.runtime.exit_codes import Exit

ROOT = Path(__file__).parents[3]


def leaves(command: Any = None, words: tuple[str, ...] = ()) -> dict[str, Any]:
    """Every command by what is typed for it."""
    command = command or get_command(app)
    below = getattr(command, "commands", {})
    found = {} if below else {" ".join(words): command}
    for name, one in below.items():
        found |= leaves(one, (*words, name))
    return found


COMMANDS = leaves()


def said(name: str, what: str) -> str:
    """A paragraph of a command's help."""
    [line] = re.findall(rf"^{what}: (.*)$", COMMANDS[name].epilog, re.MULTILINE)
    return str(line)


def codes(text: str) -> list[int]:
    """The exit codes that a help names."""
    [line] = re.findall(r"Exit codes: (.*)", text)
    return [int(code) for code in re.findall(r"(?:^|; )(\d+) ", line)]


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_says_it_all(name: str) -> None:
    shown = CliRunner().invoke(app, [*name.split(), "--help"], env={"COLUMNS": "400"})
    assert shown.exit_code == Exit.OK
    for text in (COMMANDS[name].help, *COMMANDS[name].epilog.split("\n\n")):
        assert text in shown.output
    assert all(one.help for one in COMMANDS[name].params)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_example_is_understood(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    program, *words = shlex.split(said(name, "Example").partition(" <")[0])
    assert (program, words[: len(name.split())]) == ("millrace", name.split())
    called = []
    root = get_command(app)
    leaf: Any = root
    for word in name.split():
        leaf = leaf.commands[word]
    monkeypatch.setattr(leaf, "callback", lambda **given: called.append(given))
    assert root.main(words, standalone_mode=False) is None
    assert len(called) == 1


@pytest.mark.parametrize("name", COMMANDS)
def test_what_it_reads_is_there(name: str) -> None:
    settings, _, files = said(name, "Reads").rstrip(".").partition("in the secrets directory ")
    names = {f"{ENV_PREFIX}{field.upper()}" for field in Settings.model_fields}
    for variable in re.findall(r"MILLRACE_[A-Z_*]+", settings):
        begin = variable.removesuffix("*")
        assert variable == "MILLRACE_SECRETS_DIR" or any(
            known == variable or (begin != variable and known.startswith(begin)) for known in names
        )
    paths = {
        field.default.name
        for field in Settings.model_fields.values()
        if isinstance(field.default, Path)
    }
    for file in files.partition(";")[0].split(", ") if files else ():
        assert file in {*Settings.model_fields, *paths, ADMINISTRATOR, "any secret"}


@pytest.mark.parametrize("name", COMMANDS)
def test_its_exit_codes_are_among_those_there_are(name: str) -> None:
    found = codes(COMMANDS[name].epilog)
    assert found[:3] == [Exit.OK, Exit.FAILED, Exit.MISUSED]
    assert {*found} <= {*Exit}


@pytest.mark.parametrize(
    "name", ["", "archive", "warehouse", "dead-letters", "standing", "producer", "admin", "verify"]
)
def test_a_group_says_the_exit_codes_of_its_commands(name: str) -> None:
    shown = CliRunner().invoke(app, [*name.split(), "--help"], env={"COLUMNS": "400"})
    [said] = re.findall(r"Exit codes: (.*)\.", shown.output)
    assert f"{Exit.MISUSED:d} not understood, or no command is named" in said.split("; ")
    below = {words: codes(one.epilog) for words, one in COMMANDS.items() if words.startswith(name)}
    assert below
    assert {*codes(shown.output)} == {code for each in below.values() for code in each}


def test_the_services_that_are_ended_when_they_hang_say_so() -> None:
    hung = {name for name in COMMANDS if f"{Exit.HUNG:d} hung" in said(name, "Exit codes")}
    assert hung == {"produce", "process", "archive run", "warehouse run"}


def test_the_program_of_the_distribution_is_the_one_that_is_described() -> None:
    project = tomllib.loads((ROOT / "services/pyproject.toml").read_text())["project"]
    assert project["scripts"] == {"millrace": "millrace.cli:main"}
    assert config.load.__module__ == "millrace.config.reading"
