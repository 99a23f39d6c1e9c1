"""The consumer port on kafka-python: which errors are which, and what a commit may contain."""

from collections.abc import Iterable, Mapping
from typing import Any

import pytest
from kafka.errors import (
    CommitFailedError,
    FencedInstanceIdError,
    GroupAuthorizationFailedError,
    KafkaConnectionError,
    KafkaTimeoutError,
    TopicAuthorizationFailedError,
)
from kafka.structs import TopicPartition

from millrace import kafka
from millrace.config import Settings
from millrace.processor.errors import Permanent, Transient
from millrace.processor.group import Group

MINE, ALSO_MINE, THEIRS = (TopicPartition("stock-data", number) for number in range(3))


class Client:
    """Stands for kafka-python's consumer."""

    def __init__(self) -> None:
        self.options: dict[str, Any] = {}
        self.listener: Any = None
        self.error: Exception | None = None
        self.committed: dict[TopicPartition, Any] = {}
        self.sought: dict[TopicPartition, int] = {}
        self._paused: set[TopicPartition] = set()
        self.closed: dict[str, Any] = {}
        self.topics: dict[str, set[int]] = {}

    def subscribe(self, topics: list[str], listener: Any) -> None:
        self.listener = listener

    def assignment(self) -> set[TopicPartition]:
        return {MINE, ALSO_MINE}

    def poll(self, timeout_ms: int) -> dict[TopicPartition, list[Any]]:
        if self.error:
            raise self.error
        return {}

    def commit(self, offsets: Mapping[TopicPartition, Any], timeout_ms: int) -> None:
        if self.error:
            raise self.error
        self.committed = dict(offsets)

    def seek(self, partition: TopicPartition, offset: int) -> None:
        self.sought[partition] = offset

    def pause(self, *partitions: TopicPartition) -> None:
        self._paused |= set(partitions)

    def resume(self, *partitions: TopicPartition) -> None:
        self._paused -= set(partitions)

    def paused(self) -> set[TopicPartition]:
        return set(self._paused)

    def end_offsets(self, partitions: Iterable[Any], timeout_ms: int) -> dict[Any, int]:
        if self.error:
            raise self.error
        return dict.fromkeys(partitions, 100)

    def position(self, partition: TopicPartition, timeout_ms: int) -> int | None:
        return {MINE: 40}.get(partition)

    def partitions_for_topic(self, topic: str) -> set[int]:
        if self.error:
            raise self.error
        return self.topics.get(topic, set())

    def close(self, **options: Any) -> None:
        self.closed = options


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Client:
    made = Client()

    def consumer(_: Settings, **options: Any) -> Client:
        made.options = options
        return made

    monkeypatch.setattr(kafka, "consumer", consumer)
    return made


@pytest.fixture
def group(client: Client) -> Group:
    return Group(Settings(processor_name="one"), ["stock-data"])


def test_it_is_a_static_member_so_that_a_restart_goes_on_at_once(
    group: Group, client: Client
) -> None:
    assert client.options["group_id"] == "processor"
    assert client.options["group_instance_id"] == "one"


def test_it_waits_for_topics_that_kafka_does_not_know_yet(group: Group, client: Client) -> None:
    with pytest.raises(Transient, match="stock-data"):
        group.learn_topics()
    client.topics["stock-data"] = {0, 1, 2}
    group.learn_topics()


def test_every_change_of_the_assignment_is_a_new_epoch(group: Group, client: Client) -> None:
    before = group.epoch
    client.listener.on_partitions_revoked([MINE])
    assert group.epoch > before
    between = group.epoch
    client.listener.on_partitions_assigned([MINE])
    assert group.epoch > between


def test_only_own_partitions_are_committed(group: Group, client: Client) -> None:
    group.commit({MINE: 5, THEIRS: 7})
    assert {partition: o.offset for partition, o in client.committed.items()} == {MINE: 5}


def test_only_own_partitions_are_read_again(group: Group, client: Client) -> None:
    group.seek({MINE: 5, THEIRS: 7})
    assert client.sought == {MINE: 5}


def test_pausing_concerns_all_partitions(group: Group, client: Client) -> None:
    group.pause()
    assert client.paused() == {MINE, ALSO_MINE}
    group.resume()
    assert not client.paused()


def test_the_lag_is_of_partitions_whose_position_is_known(group: Group) -> None:
    assert group.lag() == {MINE: (40, 100)}


@pytest.mark.parametrize(
    "kind", [CommitFailedError, KafkaTimeoutError, KafkaConnectionError, OSError, AssertionError]
)
def test_what_may_pass_is_transient(group: Group, client: Client, kind: type[Exception]) -> None:
    client.error = kind()
    with pytest.raises(Transient):
        group.poll(0.1)
    with pytest.raises(Transient):
        group.commit({MINE: 1})
    with pytest.raises(Transient):
        group.lag()


@pytest.mark.parametrize(
    "kind", [GroupAuthorizationFailedError, TopicAuthorizationFailedError, FencedInstanceIdError]
)
def test_what_a_person_must_put_right_is_permanent(
    group: Group, client: Client, kind: type[Exception]
) -> None:
    client.error = kind()
    with pytest.raises(Permanent):
        group.poll(0.1)
    with pytest.raises(Permanent):
        group.commit({MINE: 1})


def test_leaving_commits_nothing(group: Group, client: Client) -> None:
    group.close()
    assert client.closed["autocommit"] is False
