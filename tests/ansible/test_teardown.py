"""A teardown removes all or, where an engine that may hold data does not answer, nothing."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.ansible.conftest import INSTANCE, ROOT, Playbook, words

# Stands in for the look at the engine.
ENGINE = """
#!/usr/bin/python
import json, os
from ansible.module_utils.basic import AnsibleModule
module = AnsibleModule({"log": {"type": "path"}, "timeout": {"type": "int"}})
module.exit_json(changed=False, **json.loads(os.environ["ENGINE"]))
"""


class Machine:
    """A deployment's files, and teardown.yml with a stand-in for the engine."""

    def __init__(self, path: Path, playbook: Playbook, library: Path) -> None:
        self.playbook, self.library = playbook, library
        self.vault, self.state = playbook.vault, path / "states" / INSTANCE
        self.volumes = path / "volumes"
        for directory in (self.state, self.volumes):
            directory.mkdir(parents=True)
        for file in (self.vault, self.state / "ca.pem"):
            file.write_text("{}")

    def teardown(
        self, environment: dict[str, str] | None = None, **engine: bool
    ) -> subprocess.CompletedProcess[str]:
        return self.playbook.run(
            "teardown.yml",
            {
                "ANSIBLE_LIBRARY": f"{self.library}:{ROOT}/plugins/modules",
                "ENGINE": json.dumps({"answers": False, "installed": False, **engine}),
                **(environment or {}),
            },
            confirm=INSTANCE,
            millrace_instance=INSTANCE,
            millrace_state_dir=str(self.state),
            keep_images=True,
            engine_volumes_path=str(self.volumes),
        )


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("library")
    (folder / "docker_engine_info.py").write_text(ENGINE.lstrip())
    return folder


@pytest.fixture
def machine(tmp_path: Path, playbook: Playbook, library: Path) -> Machine:
    return Machine(tmp_path, playbook, library)


@pytest.mark.parametrize("is_installed", [True, False], ids=["an engine", "only its volumes"])
def test_nothing_is_removed_while_the_data_cannot_be(machine: Machine, is_installed: bool) -> None:
    if not is_installed:
        (machine.volumes / f"{INSTANCE}-mongodb-data").mkdir()
    done = machine.teardown(installed=is_installed)
    assert done.returncode != 0
    assert "Nothing was removed: no Docker engine answers on localhost" in words(done.stdout)
    assert "playbooks/engine.yml" in done.stdout
    assert "changed=0" in done.stdout
    assert machine.vault.exists()
    assert (machine.state / "ca.pem").exists()


def test_without_any_engine_the_files_go_and_that_is_proven(machine: Machine) -> None:
    (machine.volumes / "another-mongodb-data").mkdir()
    done = machine.teardown()
    assert done.returncode == 0, done.stdout
    assert "no certificate authority, no secrets" in words(done.stdout)
    assert not machine.vault.exists()
    assert not machine.state.exists()
    assert "changed=0" in machine.teardown().stdout


def test_secrets_that_another_instance_uses_stay_and_are_named(machine: Machine) -> None:
    (machine.state.parent / "another").mkdir()
    done = machine.teardown()
    assert "the secrets, which another instance uses" in words(done.stdout)
    assert machine.vault.exists()
    assert not machine.state.exists()


def test_the_password_of_another_vault_stays_and_both_are_named(
    tmp_path: Path, library: Path
) -> None:
    """As after `make up` and playbooks/secrets.yml for AWS, where nothing is deployed yet."""
    checkout = tmp_path / "checkout"
    for name in ("inventories", "playbooks", "plugins", "roles", "scripts"):
        # Without the vault of whoever deployed from this checkout.
        shutil.copytree(ROOT / name, checkout / name, ignore=shutil.ignore_patterns("vault.yml"))
    for name in ("ansible.cfg", "teardown.yml"):
        shutil.copy(ROOT / name, checkout)
    password, theirs = checkout / ".vault_password", checkout / "inventories/aws/vault.yml"
    password.write_text("a password")
    theirs.write_text("{}")
    machine = Machine(tmp_path, Playbook(tmp_path, checkout), library)
    own = dict.fromkeys(("MILLRACE_VAULT_PASSWORD_FILE", "MILLRACE_VAULT_FILE"), "")
    own["ANSIBLE_CONFIG"] = str(checkout / "ansible.cfg")
    done = machine.teardown(own)
    assert done.returncode == 0, done.stdout
    assert f"the vault password, which opens {theirs}" in words(done.stdout)
    assert password.exists()
    assert not machine.vault.exists()

    theirs.unlink()
    machine.vault.write_text("{}")
    assert "which opens" not in words(machine.teardown(own).stdout)
    assert not password.exists()
