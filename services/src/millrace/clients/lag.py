"""The lag of a consumer group, and the partitions that no member of it reads."""

from collections.abc import Iterable
from typing import Any

import msgspec
from kafka.admin import OffsetSpec
from kafka.errors import KafkaError
from kafka.protocol.consumer import IsolationLevel
from kafka.structs import TopicPartition

from millrace.clients import topic_ids

STABLE, DEAD = "Stable", "Dead"
WITHOUT_MEMBERS = frozenset({"Empty", DEAD})


class PartitionLag(msgspec.Struct, frozen=True):
    """One partition: its end offset, and the number of offsets that the group has not committed."""

    topic: str
    partition: int
    end: int
    lag: int
    held: bool = True
    """Whether a member of the group reads it; during a rebalance it counts as read."""
    log: str | None = None
    """The id of the log."""


def read(client: Any, group_id: str, topics: Iterable[str]) -> list[PartitionLag]:
    """Read the lag with an administration client, which needs the right to describe topics and
    group.

    A missing topic is one partition without records that no member holds. Records of an uncommitted
    transaction are after the end.
    """
    wanted = sorted(topics)
    described = client.describe_topics(wanted)
    ids = {topic["name"]: topic["topic_id"] for topic in described}
    there = _partitions(described)
    unread = unheld(client, group_id, wanted, there)
    known = {p.topic for p in there}
    absent = [PartitionLag(topic, 0, 0, 0, held=False) for topic in wanted if topic not in known]
    if not there:
        return absent
    starts = client.list_partition_offsets(dict.fromkeys(there, OffsetSpec.EARLIEST))
    ends = client.list_partition_offsets(
        dict.fromkeys(there, OffsetSpec.LATEST), isolation_level=IsolationLevel.READ_COMMITTED
    )
    committed = client.list_group_offsets({group_id: there})[group_id]

    def behind(partition: TopicPartition) -> int:
        known = committed.get(partition)
        # Without a commit, or with one that is before the start or in a former log, the group
        # continues at the start.
        own = known and not topic_ids.is_former(known.metadata, ids[partition.topic])
        position = max(int(known.offset) if own else -1, int(starts[partition].offset))
        return max(0, int(ends[partition].offset) - position)

    found = [
        PartitionLag(
            p.topic,
            p.partition,
            int(ends[p].offset),
            behind(p),
            held=p not in unread,
            log=ids[p.topic],
        )
        for p in there
    ]
    return sorted([*found, *absent], key=lambda one: (one.topic, one.partition))


def unheld(
    client: Any,
    group_id: str,
    topics: Iterable[str],
    partitions: Iterable[TopicPartition] | None = None,
) -> list[TopicPartition]:
    """Partitions of the topics that no member of the group holds; of a missing topic, its first.

    During a rebalance existing partitions are not included, because Kafka does not know yet.
    """
    wanted = sorted(topics)
    there = _partitions(client.describe_topics(wanted)) if partitions is None else [*partitions]
    group = client.describe_groups([group_id])[group_id]
    state, error = group["group_state"], group["error"]
    # Brokers report both this state and an error for a group that does not exist.
    if error and state != DEAD:
        raise KafkaError(f"group {group_id}: {error}")
    known = {p.topic for p in there}
    absent = [TopicPartition(topic, 0) for topic in wanted if topic not in known]
    if state in WITHOUT_MEMBERS:
        return sorted([*there, *absent])
    if state != STABLE:
        return absent
    held = {
        TopicPartition(part["topic"], number)
        for member in group["members"]
        if member["member_assignment"]
        for part in member["member_assignment"]["assigned_partitions"]
        for number in part["partitions"]
    }
    return sorted([*({*there} - held), *absent])


def _partitions(described: Iterable[Any]) -> list[TopicPartition]:
    return sorted(
        TopicPartition(topic["name"], partition["partition_index"])
        for topic in described
        for partition in topic["partitions"]
    )
