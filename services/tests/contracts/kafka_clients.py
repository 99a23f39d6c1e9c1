"""What kafka-python's clients answer: of each class a test is given what `topic` and `group` are.

The topic has one partition, and the records that a test asks for; nobody is in the group.
"""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from kafka.errors import KafkaTimeoutError
from kafka.structs import OffsetAndMetadata, TopicPartition

from millrace.clients import topic_ids

Consuming = Callable[[int], tuple[Any, str]]
"""Makes a topic with so many records, and a consumer for it that has subscribed to nothing."""


def read(consumer: Any, partition: TopicPartition, end: int) -> list[int]:
    """The offsets of what comes until the position is the end."""
    found: list[int] = []
    for _ in range(100):
        if consumer.position(partition) >= end:
            break
        polled = consumer.poll(timeout_ms=500)
        assert polled.keys() <= {partition}
        found += [record.offset for records in polled.values() for record in records]
    return found


class Reading:
    """Of a consumer that is assigned partitions by hand."""

    def test_a_topic_that_is_not_there_has_no_partitions(self, consuming: Consuming) -> None:
        consumer, name = consuming(0)
        assert consumer.partitions_for_topic("gone") == set()
        assert consumer.partitions_for_topic(name) == {0}

    def test_a_topic_is_read_to_its_end(self, consuming: Consuming) -> None:
        consumer, name = consuming(5)
        partition = TopicPartition(name, 0)
        assert consumer.beginning_offsets([partition]) == {partition: 0}
        assert consumer.end_offsets([partition]) == {partition: 5}
        consumer.assign([partition])
        consumer.seek(partition, 2)
        assert consumer.position(partition) == 2
        assert read(consumer, partition, 5) == [2, 3, 4]
        assert consumer.poll(timeout_ms=100) == {}

    def test_only_what_is_assigned_can_be_sought(self, consuming: Consuming) -> None:
        consumer, name = consuming(1)
        consumer.assign([TopicPartition(name, 0)])
        with pytest.raises(ValueError, match="Unassigned"):
            consumer.seek(TopicPartition(name, 1), 0)


class Naming:
    """Of one that is asked which log a topic is."""

    def test_a_topic_has_an_id(self, consuming: Consuming) -> None:
        consumer, name = consuming(0)
        for topic in (name, "gone"):
            consumer.partitions_for_topic(topic)
        assert UUID(topic_ids.known(consumer, name)).int
        assert topic_ids.known(consumer, "gone") is None


class Committing:
    """Of a consumer with a group, which need not have joined it."""

    def test_what_is_committed(self, consuming: Consuming) -> None:
        consumer, name = consuming(5)
        partition = TopicPartition(name, 0)
        assert consumer.committed(partition) is None
        consumer.commit({partition: OffsetAndMetadata(3, "", -1)})
        assert consumer.committed(partition) == 3


class CommittingNotes:
    """Of one that writes notes beside what it commits."""

    def test_a_note_is_kept_with_it(self, consuming: Consuming) -> None:
        consumer, name = consuming(5)
        partition = TopicPartition(name, 0)
        assert consumer.committed(partition, metadata=True, timeout_ms=30_000) is None
        written = OffsetAndMetadata(3, "a note", -1)
        consumer.commit({partition: written}, timeout_ms=30_000)
        assert consumer.committed(partition, metadata=True, timeout_ms=30_000) == written


class Ends:
    """Of a consumer that asks for ends."""

    def test_where_one_has_no_leader_none_has_an_end(self, consuming: Consuming) -> None:
        consumer, name = consuming(5)
        there, gone = TopicPartition(name, 0), TopicPartition(name, 9)
        assert consumer.end_offsets([there], timeout_ms=30_000).keys() == {there}
        with pytest.raises(KeyError) as caught:
            consumer.end_offsets([there, gone], timeout_ms=30_000)
        assert caught.value.args == (gone,)


class NoEnds:
    """Of one that may ask for a single partition."""

    def test_where_none_has_a_leader_the_answer_is_late(self, consuming: Consuming) -> None:
        consumer, name = consuming(5)
        with pytest.raises(KafkaTimeoutError):
            consumer.end_offsets([TopicPartition(name, 9)], timeout_ms=500)


class Starts:
    """Of one that asks for beginnings, too."""

    def test_where_one_has_no_leader_none_has_a_beginning(self, consuming: Consuming) -> None:
        consumer, name = consuming(5)
        there, gone = TopicPartition(name, 0), TopicPartition(name, 9)
        with pytest.raises(KeyError) as caught:
            consumer.beginning_offsets([there, gone], timeout_ms=30_000)
        assert caught.value.args == (gone,)


VALUE = b'{"event_id": "e"}'
Producing = Callable[[], tuple[Any, str]]


class Acknowledging:
    """Of a producer, for a topic that is there."""

    def test_a_record_is_acknowledged(self, producing: Producing) -> None:
        producer, name = producing()
        future = producer.send(name, key=b"k", value=VALUE)
        kept = future.get(timeout=60)
        assert future.is_done
        assert (kept.topic, kept.partition) == (name, 0)


class Refusing:
    """Of a producer, for a topic that is there."""

    @pytest.mark.parametrize(
        ("record", "kind"),
        [
            ({"value": b"v", "headers": [("h", None)]}, TypeError),
            ({"value": b"v", "headers": [("h", "text")]}, TypeError),
            ({"value": b"v", "headers": (("h", b""),)}, TypeError),
            ({"value": "text"}, TypeError),
            ({"key": "text", "value": b"v"}, TypeError),
            ({"key": None, "value": None}, ValueError),
        ],
    )
    def test_what_cannot_be_sent_is_an_error_at_once(
        self, producing: Producing, record: dict[str, Any], kind: type[Exception]
    ) -> None:
        producer, name = producing()
        with pytest.raises(kind):
            producer.send(name, **record)
