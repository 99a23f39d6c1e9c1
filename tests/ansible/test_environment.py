"""The commands work whatever the shell, the checkout and the user's own settings are like."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from tests.ansible.conftest import ROOT, words

# What `make` and scripts call: each says with which settings, and does nothing.
SAYS = """#!/bin/sh
echo "$(basename "$0"): $LC_ALL $ANSIBLE_CONFIG"
"""
PROGRAMS = ("ansible", "ansible-playbook", "ansible-lint", "molecule", "ruff", "mypy", "yamllint")
MADE = ("down", "verify", "status", "mongo-factory-reset", "images", "lint")


def copied(path: Path) -> Path:
    """A checkout as git has it."""
    files = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, files.stdout.split("\0")):
        if (ROOT / name).exists():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, path / name, follow_symlinks=False)
    # What it would install is here already.
    (path / "scripts/bootstrap").write_text("#!/bin/sh\n")
    return path


def environment(**settings: str) -> dict[str, str]:
    """The shell's variables as somebody may have them: no locale and nothing of Ansible's."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("LC_", "LANG", "ANSIBLE_", "MAKE", "MFLAGS", "MOLECULE_"))
    }
    return kept | settings


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout with spaces in its path, in a folder that everybody may write."""
    path = copied(tmp_path_factory.mktemp("home") / "my  checkout")
    (path / ".venv").symlink_to(ROOT / ".venv")
    path.chmod(0o777)
    return path


@pytest.mark.parametrize(
    "locale",
    [{"LANG": "en_US.UTF-8"}, {"LANG": "de_DE.UTF-8", "LC_TIME": "de_DE.UTF-8"}, {"LC_ALL": "C"}],
    ids=["one that is not there", "two", "none"],
)
def test_make_works_in_any_locale_and_folder(checkout: Path, locale: dict[str, str]) -> None:
    done = subprocess.run(
        ["make", "status", "ARGS=--syntax-check"],
        cwd=checkout,
        env=environment(**locale),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip() == "playbook: playbooks/status.yml"
    assert "WARNING" not in done.stderr


@pytest.mark.parametrize("shell", ["bash", "make"])
def test_a_persons_shell_and_make_have_the_same_settings(checkout: Path, shell: str) -> None:
    commands = {
        "bash": ["bash", "-c", f". '{checkout}/scripts/environment' && cd / && ansible --version"],
        "make": ["make", "--eval=say:; @ansible --version", "say"],
    }
    done = subprocess.run(
        commands[shell],
        cwd=checkout,
        env=environment(LANG="en_US.UTF-8", ANSIBLE_CONFIG="/nowhere"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert f"config file = {checkout}/ansible.cfg" in done.stdout


def test_every_command_has_them(tmp_path: Path) -> None:
    path = copied(tmp_path / "check out")
    (path / ".venv/bin").mkdir(parents=True)
    for name in PROGRAMS:
        (path / ".venv/bin" / name).write_text(SAYS)
        (path / ".venv/bin" / name).chmod(0o755)
    subprocess.run(["git", "init", "--quiet", path], check=True)
    commands = [["make", target] for target in MADE if target != "lint"]
    commands += [["scripts/up"], ["scripts/molecule", "kafka"], ["scripts/lint"]]
    for command in commands:
        done = subprocess.run(
            command,
            cwd=path,
            env=environment(LANG="en_US.UTF-8"),
            capture_output=True,
            text=True,
            check=False,
        )
        said = [line for line in done.stdout.splitlines() if line.split(":")[0] in PROGRAMS]
        assert said, (command, done.stdout, done.stderr)
        for line in said:
            assert line.endswith(f": C.UTF-8 {path}/ansible.cfg"), (command, line)


@pytest.mark.parametrize("is_option", [False, True], ids=["variable", "option"])
def test_the_users_own_vault_password_opens_the_vault_in_every_play(
    tmp_path: Path, is_option: bool
) -> None:
    """The first play makes the vault with it, later ones read it, however it was given."""
    inventory, theirs = tmp_path / "inventory", tmp_path / "theirs"
    inventory.mkdir()
    theirs.write_text("a password of their own")
    (inventory / "hosts.yml").write_text("all: {hosts: {localhost: {ansible_connection: local}}}")
    (inventory / "group_vars").mkdir()
    (inventory / "group_vars/all").symlink_to(ROOT / "inventories/local/group_vars/all")
    play = [
        {
            "hosts": "localhost",
            "gather_facts": False,
            "vars_files": [str(inventory / "vault.yml")],
            "tasks": [{"assert": {"that": "vault_ca_passphrase | length > 20"}}],
        }
    ]
    (tmp_path / "later.yml").write_text(yaml.safe_dump(play))

    def run(playbook: Path | str, password: Path) -> subprocess.CompletedProcess[str]:
        given = {} if is_option else {"ANSIBLE_VAULT_PASSWORD_FILE": str(password)}
        return subprocess.run(
            [
                *(ROOT / ".venv/bin/ansible-playbook", f"--inventory={inventory}", playbook),
                f"--extra-vars=millrace_instance=mr-vault-test millrace_state_dir={tmp_path}/state",
                *([f"--vault-password-file={password}"] if is_option else []),
            ],
            cwd=ROOT,
            env=environment(
                LC_ALL="C.UTF-8",
                ANSIBLE_NOCOLOR="1",
                MILLRACE_VAULT_PASSWORD_FILE=str(tmp_path / "ours"),
                MILLRACE_VAULT_FILE=str(inventory / "vault.yml"),
                **given,
            ),
            capture_output=True,
            text=True,
            check=False,
        )

    for playbook in ("playbooks/secrets.yml", tmp_path / "later.yml"):
        done = run(playbook, theirs)
        assert done.returncode == 0, done.stdout + done.stderr
    # An option is beside what ansible.cfg names, a variable in its place.
    assert (tmp_path / "ours").exists() is is_option

    other = tmp_path / "of another project"
    other.write_text("another password")
    done = run("playbooks/secrets.yml", other)
    assert done.returncode != 0
    assert f"the vault password, from {other}" in words(done.stdout)
