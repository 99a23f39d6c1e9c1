"""Fixtures for the processor."""

import socket
from collections.abc import Iterator
from typing import Any

import pytest
from kafka import KafkaConsumer
from services.tests.processor.process import in_one_thread
from services.tests.processor.world import World


@pytest.fixture
def world() -> Iterator[World]:
    world = World(partitions=2)
    with in_one_thread(world):
        yield world


@pytest.fixture
def client() -> Iterator[Any]:
    """The client library's consumer, of a broker that says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        client = KafkaConsumer(
            bootstrap_servers=f"127.0.0.1:{silent.getsockname()[1]}",
            # With the version given it waits for no answer before it is polled.
            api_version=(4, 0),
            group_id="group",
            enable_auto_commit=False,
        )
        yield client
        client.close(autocommit=False, timeout_ms=0)
