"""Fixtures for the processor."""

from collections.abc import Iterator

import pytest
from services.tests.processor.process import in_one_thread
from services.tests.processor.world import World


@pytest.fixture
def world() -> Iterator[World]:
    world = World(partitions=2)
    with in_one_thread(world):
        yield world
