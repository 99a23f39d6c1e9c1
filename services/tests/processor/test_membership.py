"""The client library's member, told by the test what its group says; no broker is needed."""

import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest
from kafka import KafkaConsumer
from kafka.coordinator.base import Generation
from kafka.protocol.consumer.metadata import ConsumerProtocolAssignment

from millrace.processor.membership import Coordinator

TOPIC = "stock-data"
ASSIGNMENT: bytes = ConsumerProtocolAssignment(0, [(TOPIC, [0])], b"").encode()
ANSWER_SECONDS = 0.05


@pytest.fixture
def coordinator() -> Iterator[Any]:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        client = KafkaConsumer(
            bootstrap_servers=f"127.0.0.1:{silent.getsockname()[1]}",
            # With the version given it waits for no answer before it is polled.
            api_version=(4, 0),
            group_id="group",
            enable_auto_commit=False,
        )
        client.subscribe([TOPIC])
        assert isinstance(client._coordinator, Coordinator)
        yield client._coordinator
        client.close(autocommit=False, timeout_ms=0)


def test_who_joins_goes_on_though_the_reason_for_it_went(coordinator: Any) -> None:
    coordinator.rejoin_needed = False
    coordinator._joined_subscription = coordinator._subscription.subscription
    coordinator._assignment_snapshot, coordinator._metadata_snapshot = {TOPIC: 3}, {}
    assert coordinator.need_rejoin()
    coordinator.rejoining = True
    coordinator._metadata_snapshot = {TOPIC: 3}  # its topic was made again meanwhile
    assert coordinator.need_rejoin()
    coordinator.rejoining = False
    assert not coordinator.need_rejoin()


def test_an_answer_that_comes_between_two_polls_counts(
    coordinator: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    async def ready(**_: Any) -> bool:
        return True

    async def join() -> bytes:
        asked.append(time.monotonic())
        await coordinator._net.sleep(ANSWER_SECONDS)
        coordinator._generation = Generation(1, "member", "range")
        return ASSIGNMENT

    monkeypatch.setattr(coordinator, "ensure_coordinator_ready_async", ready)
    monkeypatch.setattr(coordinator, "_do_join_and_sync_async", join)
    assert not coordinator.ensure_active_group(timeout_ms=0)
    time.sleep(4 * ANSWER_SECONDS)
    assert coordinator.ensure_active_group(timeout_ms=0)
    assert coordinator.stable()
    assert len(asked) == 1
