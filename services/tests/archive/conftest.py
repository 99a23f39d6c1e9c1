"""What holds for all tests of the archive."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from services.tests.archive.world import settings_in

from millrace.archive import durable
from millrace.config import Settings


@pytest.fixture(autouse=True)
def synced() -> Iterator[list[Path]]:
    """What is synced. The disk is not waited for, since no power is lost in a test."""
    paths: list[Path] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(durable, "sync", paths.append)
        yield paths


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """An archive in a folder of its own."""
    return settings_in(tmp_path)
