"""How far a consumer group is behind."""

from types import SimpleNamespace
from typing import Any

from kafka.admin import OffsetSpec
from kafka.structs import TopicPartition

from millrace import lag
from millrace.lag import PartitionLag


class FakeAdmin:
    """One topic with three partitions."""

    starts = (0, 10, 0)
    ends = (5, 20, 7)
    committed = (3, 4, -1)

    def describe_topics(self, names: list[str]) -> list[dict[str, Any]]:
        assert names == ["t"]
        # Brokers list partitions in any order.
        return [{"name": "t", "partitions": [{"partition_index": n} for n in (2, 0, 1)]}]

    def list_partition_offsets(self, wanted: dict[TopicPartition, Any]) -> dict[Any, Any]:
        return {
            p: SimpleNamespace(
                offset=(self.starts if spec is OffsetSpec.EARLIEST else self.ends)[p.partition]
            )
            for p, spec in wanted.items()
        }

    def list_group_offsets(self, wanted: dict[str, Any]) -> dict[str, dict[Any, Any]]:
        return {
            group: {p: SimpleNamespace(offset=self.committed[p.partition]) for p in partitions}
            for group, partitions in wanted.items()
        }


def test_lag_is_what_is_not_committed_of_what_is_still_there() -> None:
    assert lag.read(FakeAdmin(), "g", ["t"]) == [
        PartitionLag("t", 0, 5, 2),
        PartitionLag("t", 1, 20, 10),  # what retention has removed is nobody's lag
        PartitionLag("t", 2, 7, 7),
    ]
