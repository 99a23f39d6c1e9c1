"""How far a consumer group is behind the end of its topics."""

from collections.abc import Iterable
from typing import Any

import msgspec
from kafka.admin import OffsetSpec
from kafka.structs import TopicPartition


class PartitionLag(msgspec.Struct, frozen=True):
    """One partition: where it ends, and how many records the group has not committed."""

    topic: str
    partition: int
    end: int
    lag: int


def read(client: Any, group_id: str, topics: Iterable[str]) -> list[PartitionLag]:
    """Ask an administration client, which needs the right to describe topics and group."""
    partitions = [
        TopicPartition(topic["name"], partition["partition_index"])
        for topic in client.describe_topics(sorted(topics))
        for partition in topic["partitions"]
    ]
    starts = client.list_partition_offsets(dict.fromkeys(partitions, OffsetSpec.EARLIEST))
    ends = client.list_partition_offsets(dict.fromkeys(partitions, OffsetSpec.LATEST))
    committed = client.list_group_offsets({group_id: partitions})[group_id]

    def position(partition: TopicPartition) -> int:
        known = committed.get(partition)
        # Without a commit, or with one that retention has passed, the group goes on at the start.
        return max(int(known.offset) if known else -1, int(starts[partition].offset))

    return [
        PartitionLag(p.topic, p.partition, ends[p].offset, max(0, ends[p].offset - position(p)))
        for p in sorted(partitions)
    ]
