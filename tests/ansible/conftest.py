"""Run a module of the project in this process and read what it answers."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import ansible.module_utils
import pytest
from ansible.module_utils.testing import patch_module_args

ROOT = Path(__file__).parents[2]

Run = Callable[..., dict[str, Any]]

# Where Ansible looks too, as ansible.cfg says it.
ansible.module_utils.__path__.append(str(ROOT / "plugins/module_utils"))


def load(path: Path) -> ModuleType:
    """Import a plugin from its file: plugins belong to no package."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


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
