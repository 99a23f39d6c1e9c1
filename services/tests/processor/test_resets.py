"""The client library's own consumer, whose position its log does not have; a test answers it."""

import time
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from kafka.errors import KafkaConnectionError
from kafka.future import Future
from kafka.protocol.metadata import MetadataResponse
from kafka.structs import OffsetAndTimestamp, TopicPartition

from millrace.clients import topic_ids
from millrace.processor.parked import Resuming
from millrace.processor.resets import Asking

PLACE = TopicPartition("stock-data", 0)
BEFORE, NOW = UUID(int=1), UUID(int=2)
VERSION = 12
WAIT_SECONDS = 10.0


def metadata(log_id: UUID) -> Any:
    """What a broker says of the topic, which it leads."""
    topic = MetadataResponse.MetadataResponseTopic
    partition = topic.MetadataResponsePartition(partition_index=0, leader_id=1, leader_epoch=0)
    said = MetadataResponse(
        version=VERSION,
        brokers=[MetadataResponse.MetadataResponseBroker(node_id=1, host="127.0.0.1", port=1)],
        topics=[topic(name=PLACE.topic, topic_id=log_id, partitions=[partition])],
    )
    return MetadataResponse.decode(said.encode(), version=VERSION)


def until(is_so: Callable[[], Any]) -> None:
    end = time.monotonic() + WAIT_SECONDS
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.parametrize(("given", "usual"), [(50, 60_000), (None, 50)])
def test_who_does_not_say_which_log_it_is_is_not_waited_for_any_longer(
    client: Any, monkeypatch: pytest.MonkeyPatch, given: int | None, usual: int
) -> None:
    fetcher = client._fetcher
    began = time.monotonic()
    waited: list[tuple[float, int | None]] = []

    async def reset(_: Any, timeout_ms: int | None = None) -> None:
        waited.append((time.monotonic() - began, timeout_ms))

    client.assign([PLACE])
    monkeypatch.setattr(client._cluster, "request_update", Future)
    monkeypatch.setattr(Resuming, "_reset_offsets_async", reset)
    monkeypatch.setitem(fetcher.config, "request_timeout_ms", usual)
    client._subscription.request_offset_reset(PLACE)
    fetcher.reset_offsets_if_needed(given)
    until(lambda: waited)
    ((seconds, told),) = waited
    assert told == given
    assert seconds >= 0.05


@pytest.mark.parametrize("away", [False, True])
def test_its_log_is_asked_for_before_it_reads_another_from_the_start(
    client: Any, monkeypatch: pytest.MonkeyPatch, *, away: bool
) -> None:
    cluster, fetcher = client._cluster, client._fetcher
    assert isinstance(fetcher, Asking)
    known: list[str | None] = []

    def answer() -> Future:
        if away:
            return Future().failure(KafkaConnectionError())
        cluster.update_metadata(metadata(NOW))
        return Future().success(cluster)

    async def offsets(*_: Any) -> Any:
        known.append(topic_ids.known(client, PLACE.topic))
        return {PLACE: OffsetAndTimestamp(0, -1, -1)}, set()

    client.assign([PLACE])
    client.seek(PLACE, 7)
    cluster.update_metadata(metadata(BEFORE))
    monkeypatch.setattr(cluster, "request_update", answer)
    monkeypatch.setattr(fetcher, "_send_list_offsets_request", offsets)
    client._subscription.request_offset_reset(PLACE)
    fetcher.reset_offsets_if_needed()
    until(lambda: client._subscription.has_all_fetch_positions())
    assert client._subscription.position(PLACE).offset == 0
    assert known == [str(BEFORE if away else NOW)]
