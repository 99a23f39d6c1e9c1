"""Fixtures for the sources."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from services.tests.sources.exporter import Server
from services.tests.sources.harness import Simulator

from millrace.config import Settings


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    """A simulator of its own for each test."""
    server = Simulator()
    yield server
    server.close()


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Settings]:
    """Settings from arguments alone, with a state directory of the test's own."""
    monkeypatch.setenv("MILLRACE_SECRETS_DIR", str(tmp_path / "no-secrets"))

    def make(**values: Any) -> Settings:
        return Settings(producer_name="test", producer_state_dir=tmp_path, **values)

    return make


@pytest.fixture
def exporter() -> Iterator[Server]:
    """An exporter of its own for each test."""
    server = Server()
    yield server
    server.close()
