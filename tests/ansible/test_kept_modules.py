"""Runs of a scenario, or of the tests of provisioning, pack a module once for all of them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.callback.kept_modules import CallbackModule

from ansible import constants


def test_what_a_run_has_packed_outlives_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    monkeypatch.setenv("MILLRACE_TEST_MODULES", str(kept))
    for run in ("first", "second"):
        own = tmp_path / run
        own.mkdir()
        monkeypatch.setattr(constants, "DEFAULT_LOCAL_TMP", str(own))
        CallbackModule()
        packed = own / "ansiballz_cache" / "module"
        assert packed.exists() is (run == "second")
        packed.write_text("packed")
        shutil.rmtree(own)
