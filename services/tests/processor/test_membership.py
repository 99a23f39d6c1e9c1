"""The client library's member, told by the test what its group says; no broker is needed."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from kafka.coordinator.base import Generation
from kafka.coordinator.consumer import ConsumerCoordinator
from kafka.errors import NotCoordinatorError
from kafka.future import Future
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


def answer(coordinator: Any, monkeypatch: pytest.MonkeyPatch, join: Callable[[], Any]) -> None:
    """What the coordinator, which is there, says to who joins."""

    async def ready(**_: Any) -> bool:
        return True

    monkeypatch.setattr(coordinator, "ensure_coordinator_ready_async", ready)
    monkeypatch.setattr(coordinator, "_do_join_and_sync_async", join)


def test_an_answer_that_comes_between_two_polls_counts(
    coordinator: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    async def join() -> bytes:
        asked.append(time.monotonic())
        await coordinator._net.sleep(ANSWER_SECONDS)
        coordinator._generation = Generation(1, "member", "range")
        return ASSIGNMENT

    answer(coordinator, monkeypatch, join)
    assert not coordinator.ensure_active_group(timeout_ms=0)
    time.sleep(4 * ANSWER_SECONDS)
    assert coordinator.ensure_active_group(timeout_ms=0)
    assert coordinator.stable()
    assert len(asked) == 1


def test_who_is_refused_for_now_asks_again_with_the_next_poll(
    coordinator: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers: list[Any] = [NotCoordinatorError(), ASSIGNMENT]

    async def join() -> bytes:
        found: Any = answers.pop(0)
        if isinstance(found, Exception):
            raise found
        coordinator._generation = Generation(1, "member", "range")
        return bytes(found)

    answer(coordinator, monkeypatch, join)
    monkeypatch.setitem(coordinator.config, "retry_backoff_ms", 0)
    coordinator.rejoining = True
    assert coordinator.ensure_active_group(timeout_ms=1000)
    assert not answers


@pytest.mark.parametrize(("given", "taken"), [(0, 1000), (5000, 5000), (None, None)])
def test_a_thread_that_has_much_to_do_has_time_to_take_an_answer(
    coordinator: Any, monkeypatch: pytest.MonkeyPatch, given: int | None, taken: int | None
) -> None:
    waited: list[int | None] = []

    async def join(_: Any, timeout_ms: int | None = None) -> bool:
        waited.append(timeout_ms)
        return True

    monkeypatch.setattr(ConsumerCoordinator, "join_group_async", join)
    for is_there in (False, True):
        coordinator.rejoining, coordinator._join_task = True, Future()
        if is_there:
            coordinator._join_task.success(ASSIGNMENT)
        coordinator._net.run(coordinator.join_group_async, given)
    assert waited == [given, taken]
