"""Run a module of the project in this process and read what it answers."""

from __future__ import annotations

import importlib.util
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import ansible.module_utils
import pytest
import yaml
from ansible.module_utils.testing import patch_module_args
from ansible.parsing.vault import VaultLib, VaultSecret
from tests.forked import Program

ROOT = Path(__file__).parents[2]

# Of the playbooks that tests run: a run keeps others out. Of one width, so that no instance's
# name is the beginning of another's.
INSTANCE = f"mr-test-{os.getpid():07}"
Run = Callable[..., dict[str, Any]]

IMPORTED = (
    "ansible.executor.playbook_executor",
    "ansible.executor.task_executor",
    "ansible.plugins.strategy.linear",
    "ansible.plugins.action.normal",
    "ansible.plugins.filter.core",
    "ansible.vars.hostvars",
    # What our filters and actions import where they run, each time anew.
    "millrace.producer.declared",
)

# Where Ansible looks too, as ansible.cfg says it.
ansible.module_utils.__path__.append(str(ROOT / "plugins/module_utils"))


def load(path: Path, name: str = "") -> ModuleType:
    """Import a plugin from its file: plugins belong to no package."""
    spec = importlib.util.spec_from_file_location(name or path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name or path.stem] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session", autouse=True)
def _bare_environment() -> Iterator[None]:
    """Whether `make` runs these tests or a person: what they start sees no settings of either."""
    with pytest.MonkeyPatch.context() as patch:
        for name in os.environ:
            if name.startswith(("ANSIBLE_", "MAKE", "MFLAGS", "MILLRACE_", "MOLECULE_")):
                patch.delenv(name)
        yield


@pytest.fixture(scope="session")
def service_files() -> ModuleType:
    return load(ROOT / "plugins/modules/service_files.py")


@pytest.fixture(scope="session")
def reconcile() -> ModuleType:
    return load(ROOT / "plugins/modules/reconcile.py")


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Return a function that runs a module as Ansible would."""

    def run_module(module: ModuleType, *, check: bool = False, **params: Any) -> dict[str, Any]:
        options = {"_ansible_check_mode": check, "_ansible_diff": True, "_ansible_no_log": True}
        with patch_module_args(params | options), pytest.raises(SystemExit):
            module.main()
        return dict(json.loads(capsys.readouterr().out))

    return run_module


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def words(text: str) -> str:
    """Return the text on one line: Ansible wraps it, depending on how long the names in it are."""
    return " ".join(text.split())


_imported: dict[Any, Program] = {}


@pytest.fixture(scope="session", autouse=True)
def _no_imported_playbooks_stay() -> Iterator[None]:
    yield
    for program in _imported.values():
        program.close()


def ansible_playbook(
    *arguments: str | Path,
    cwd: Path = ROOT,
    environment: Mapping[str, str] | None = None,
    together: bool = False,
) -> subprocess.CompletedProcess[str]:
    """Run ansible-playbook in this folder, with these variables of the environment besides."""
    own = os.environ | {"ANSIBLE_NOCOLOR": "1"} | {**(environment or {})}
    # What its configuration depends on.
    read = cwd, *sorted((name, own[name]) for name in own if name.startswith("ANSIBLE_"))
    if read not in _imported:
        _imported[read] = Program("ansible.cli.playbook:main", IMPORTED, cwd, own)
    tool = Path(sys.executable).parent / "ansible-playbook"
    return _imported[read].run([tool, *arguments], cwd, own, together=together)


class Playbook:
    """Playbooks of the project, on this machine's inventory but with a vault of their own."""

    def __init__(self, path: Path, checkout: Path = ROOT) -> None:
        """Give the vault a password and a place."""
        self.checkout = checkout
        self.vault, self.password = path / "vault.yml", path / "password"
        self.password.write_text("a password")

    def fill_vault(self) -> None:
        """Make every secret."""
        declared = yaml.safe_load((ROOT / "inventories/shared/secrets.yml").read_text())
        actions = load(ROOT / "plugins/action/vault_secrets.py")
        vault = VaultLib(secrets=[("default", VaultSecret(self.password.read_bytes()))])
        arguments = {"path": self.vault, "secrets": declared["millrace_secrets"], "generate": True}
        actions.ensure(arguments, vault, "", check_mode=False, warn=print)

    def run(
        self,
        name: str,
        environment: dict[str, str] | None = None,
        inventory: Path | None = None,
        **variables: Any,
    ) -> subprocess.CompletedProcess[str]:
        """Run one with these variables."""
        variables = {
            "millrace_instance": INSTANCE,
            "millrace_vault_file": str(self.vault),
            # Whoever deployed Millrace on this machine has the usual one.
            "millrace_api_port": free_port(),
            "millrace_dashboard_port": free_port(),
        } | variables
        vault = {
            "MILLRACE_VAULT_PASSWORD_FILE": str(self.password),
            "MILLRACE_VAULT_FILE": str(self.vault),
        }
        return ansible_playbook(
            f"--inventory={inventory or self.checkout / 'inventories/local'}",
            f"--extra-vars={json.dumps(variables)}",
            self.checkout / name,
            cwd=self.checkout,
            environment=vault | (environment or {}),
        )


def forget_runs() -> None:
    """Remove what runs of a test wrote down for each other."""
    for path in (
        *Path("/run/lock").glob(f"millrace-{INSTANCE}-*"),
        *Path("/run").glob(f"{INSTANCE}*.lease"),
    ):
        path.unlink()


@pytest.fixture
def playbook(tmp_path: Path) -> Iterator[Playbook]:
    """Return playbooks that can be run."""
    yield Playbook(tmp_path)
    forget_runs()
