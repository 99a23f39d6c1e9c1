"""The client library's member, told by the test what its group says; no broker is needed."""

import time
from typing import Any

import pytest
from kafka.coordinator.base import Generation
from kafka.protocol.consumer.metadata import ConsumerProtocolAssignment

from millrace.processor.membership import Coordinator

TOPIC = "stock-data"
ASSIGNMENT: bytes = ConsumerProtocolAssignment(0, [(TOPIC, [0])], b"").encode()
ANSWER_SECONDS = 0.05


@pytest.fixture
def coordinator(client: Any) -> Any:
    client.subscribe([TOPIC])
    assert isinstance(client._coordinator, Coordinator)
    return client._coordinator


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
