"""What holds for all tests of the archive."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from millrace.archive import durable


@pytest.fixture(autouse=True)
def synced() -> Iterator[list[Path]]:
    """What is synced. The disk is not waited for, since no power is lost in a test."""
    paths: list[Path] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(durable, "sync", paths.append)
        yield paths
