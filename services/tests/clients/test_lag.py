"""How far a consumer group is behind."""

from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from kafka import KafkaAdminClient
from kafka.admin import OffsetSpec
from kafka.errors import GroupIdNotFoundError, KafkaError
from kafka.protocol.consumer import IsolationLevel
from kafka.structs import OffsetAndMetadata, TopicPartition
from services.tests.stands import stands_for

from millrace.clients import lag
from millrace.clients.lag import PartitionLag

NOW = str(UUID(int=1))
"""The id of the topic's log."""


@stands_for(KafkaAdminClient)
class FakeAdmin:
    """One topic with three partitions."""

    starts = (0, 10, 0)
    ends = (5, 20, 7)
    committed = (3, 4, -1)
    notes: tuple[str, ...] = ("", f'{{"log":"{NOW}"}}', "")
    state = "Stable"
    error: str | None = None
    held: tuple[int, ...] = (0, 2, 1)

    def describe_topics(self, names: list[str]) -> list[dict[str, Any]]:
        # Partitions come in any order; a topic that is not there has none.
        numbers = {"t": (2, 0, 1)}
        return [
            {
                "name": n,
                "topic_id": NOW if n in numbers else None,
                "partitions": [{"partition_index": i} for i in numbers.get(n, ())],
            }
            for n in names
        ]

    def describe_groups(self, names: list[str]) -> dict[str, Any]:
        parts = [{"topic": "t", "partitions": [number]} for number in self.held]
        members: list[Any] = [{"member_assignment": {"assigned_partitions": [p]}} for p in parts]
        members.append({"member_assignment": None})
        found = {"group_state": self.state, "error": self.error, "members": members}
        return dict.fromkeys(names, found)

    def list_partition_offsets(
        self,
        wanted: dict[TopicPartition, Any],
        isolation_level: IsolationLevel = IsolationLevel.READ_UNCOMMITTED,
    ) -> dict[Any, Any]:
        committed = isolation_level is IsolationLevel.READ_COMMITTED
        assert all(spec is OffsetSpec.EARLIEST or committed for spec in wanted.values())
        return {
            p: SimpleNamespace(
                offset=(self.starts if spec is OffsetSpec.EARLIEST else self.ends)[p.partition]
            )
            for p, spec in wanted.items()
        }

    def list_group_offsets(self, wanted: dict[str, Any]) -> dict[str, dict[Any, Any]]:
        return {
            group: {
                p: OffsetAndMetadata(self.committed[p.partition], self.notes[p.partition], -1)
                for p in partitions
            }
            for group, partitions in wanted.items()
        }


def test_lag_is_what_is_not_committed_of_what_is_still_there() -> None:
    assert lag.read(FakeAdmin(), "g", ["t"]) == [
        PartitionLag("t", 0, 5, 2, log=NOW),
        PartitionLag("t", 1, 20, 10, log=NOW),  # what retention has removed is nobody's lag
        PartitionLag("t", 2, 7, 7, log=NOW),
    ]


def test_a_position_in_a_log_that_is_gone_is_none() -> None:
    admin = FakeAdmin()
    admin.notes = ('{"log":"before"}', '{"records":3}', "")
    assert [p.lag for p in lag.read(admin, "g", ["t"])] == [5, 10, 7]


def held(admin: FakeAdmin, topics: tuple[str, ...] = ("t",)) -> dict[tuple[str, int], bool]:
    """Whether somebody reads each partition."""
    return {(p.topic, p.partition): p.held for p in lag.read(admin, "g", topics)}


def test_a_partition_that_no_member_has_is_read_by_nobody() -> None:
    admin = FakeAdmin()
    assert held(admin) == {("t", 0): True, ("t", 1): True, ("t", 2): True}
    admin.held = (2,)
    assert held(admin) == {("t", 0): False, ("t", 1): False, ("t", 2): True}


@pytest.mark.parametrize("state", ["Empty", "Dead"])
def test_without_members_nobody_reads(state: str) -> None:
    admin = FakeAdmin()
    admin.state, admin.held = state, ()
    # Brokers say both of a group that is not there: this state, and an error.
    admin.error = str(GroupIdNotFoundError("Group g not found.")) if state == "Dead" else None
    assert not any(held(admin).values())


@pytest.mark.parametrize("state", ["PreparingRebalance", "CompletingRebalance"])
def test_while_members_join_nobody_knows_and_it_counts_as_read(state: str) -> None:
    admin = FakeAdmin()
    admin.state, admin.held = state, ()
    assert all(held(admin).values())


def test_a_topic_that_is_not_there_is_read_by_nobody() -> None:
    assert held(FakeAdmin(), ("t", "gone"))["gone", 0] is False
    assert lag.read(FakeAdmin(), "g", ["gone"]) == [PartitionLag("gone", 0, 0, 0, held=False)]


def test_a_group_that_cannot_be_described_is_an_error() -> None:
    admin = FakeAdmin()
    admin.state, admin.error = "", "GroupAuthorizationFailedError"
    with pytest.raises(KafkaError, match="GroupAuthorizationFailed"):
        lag.read(admin, "g", ["t"])
