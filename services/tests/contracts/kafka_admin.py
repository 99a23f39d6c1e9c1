"""What kafka-python's administration client answers, of groups and of everything declared."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from kafka.admin import OffsetSpec, ScramMechanism, UserScramCredentialDeletion
from kafka.errors import GroupIdNotFoundError, TopicAlreadyExistsError
from kafka.structs import TopicPartition
from services.tests.admin.fake_kafka import acl, desired, topic

from millrace.admin.kafka_cluster import KafkaCluster
from millrace.admin.kafka_state import changes, declared
from millrace.admin.program import AdminError, Report, reconcile

Asking = tuple[Any, str, str]
"""A client, a topic `t` of three partitions, and a group that has a member with all of it."""


class Topics:
    """Of topics."""

    def test_one_that_is_there_has_partitions_and_an_id(self, asking: Asking) -> None:
        client, name, _ = asking
        found = {one["name"]: one for one in client.describe_topics([name, "gone"])}
        assert sorted(p["partition_index"] for p in found[name]["partitions"]) == [0, 1, 2]
        assert UUID(found[name]["topic_id"]).int
        assert (found["gone"]["partitions"], found["gone"]["topic_id"]) == ([], None)


class Offsets:
    """Of offsets."""

    def test_where_a_partition_begins_and_ends(self, asking: Asking) -> None:
        client, name, _ = asking
        one = TopicPartition(name, 0)
        start = client.list_partition_offsets({one: OffsetSpec.EARLIEST})[one].offset
        assert start == 0


class Uncommitted:
    """Of what is committed."""

    def test_what_is_not_committed_is_before_the_first(self, asking: Asking) -> None:
        client, name, group = asking
        one = TopicPartition(name, 2)
        assert client.list_group_offsets({group: [one]})[group][one].offset == -1


class Members:
    """Of members."""

    def test_they_have_partitions(self, asking: Asking) -> None:
        client, name, group = asking
        found = client.describe_groups([group])[group]
        assert (found["group_state"], found["error"]) == ("Stable", None)
        held = [
            number
            for member in found["members"]
            if member["member_assignment"]
            for part in member["member_assignment"]["assigned_partitions"]
            if part["topic"] == name
            for number in part["partitions"]
        ]
        assert {*held} <= {0, 1, 2}
        assert held


Grouped = tuple[Any, str, Callable[[], None]]
"""A client, a group with a member, and what makes that leave."""


class Groups:
    """Of a group that is removed."""

    def test_it_is_removed_when_it_is_empty(self, grouped: Grouped) -> None:
        client, group, leave = grouped
        assert client.describe_groups([group])[group]["members"]
        assert client.delete_groups([group]) == {group: "NonEmptyGroupError"}
        leave()
        found = client.describe_groups([group])[group]
        assert (found["group_state"], found["error"]) == ("Empty", None)
        assert client.delete_groups([group]) == {group: "OK"}
        found = client.describe_groups([group])[group]
        assert found["group_state"] == "Dead"
        assert found["error"] == str(GroupIdNotFoundError(f"Group {group} not found."))
        assert client.delete_groups([group]) == {group: "GroupIdNotFoundError"}


class Declaring:
    """Of what `millrace admin kafka` reads and changes; `client` is of a cluster of its own."""

    def test_a_cluster_is_as_declared_and_stays_so(self, client: Any) -> None:
        first = {
            "topics": [topic("one", 1, retention_ms=1000), topic("two", 2)],
            "users": [{"name": "u", "password": "p"}, {"name": "v", "password": "p"}],
            "acls": [acl("one", "read"), acl("o", "write", "prefixed")],
            "quotas": [{"user": "u", "producer_byte_rate": 1024, "request_percentage": 50}],
        }
        then = {
            "topics": [topic("one", 3, cleanup_policy="compact"), topic("two", 2)],
            "users": [{"name": "u", "password": "p"}],
            "acls": [acl("one", "read")],
            "quotas": [{"user": "u", "producer_byte_rate": 2048}],
        }
        for wanted in (first, then, {**then, "users": [], "acls": [], "quotas": []}):
            foreseen = apply(client, wanted, check=True)
            assert foreseen.changed
            assert apply(client, wanted).changes == foreseen.changes
            assert not apply(client, wanted).changed
            found = KafkaCluster(client, {"u": "p", "v": "p"}, lambda *_: True).read()
            kinds = ("user", "acl", "quota")
            kept = {key: fields for key, fields in found.items() if key[0] in kinds}
            topics = {("topic", name): found["topic", name] for name in ("one", "two")}
            assert kept | topics == declared(desired(**wanted))

    def test_a_setting_that_no_broker_has_is_refused_by_name(self, client: Any) -> None:
        apply(client, {"topics": [topic("three")]})
        with pytest.raises(AdminError, match=r"InvalidConfigurationError: .*no\.such"):
            apply(client, {"topics": [topic("three", no_such=1)]})

    def test_a_topic_is_made_once(self, client: Any) -> None:
        new = {"four": {"num_partitions": 1, "replication_factor": 1, "configs": {}}}
        codes = [
            client.create_topics(new, raise_errors=False)["topics"][0]["error_code"]
            for _ in range(2)
        ]
        assert codes == [0, TopicAlreadyExistsError.errno]

    def test_who_is_not_there_cannot_be_removed(self, client: Any) -> None:
        nobody = UserScramCredentialDeletion("nobody", ScramMechanism.SCRAM_SHA_512)
        assert "does not exist" in client.alter_user_scram_credentials([nobody])["nobody"]


def apply(client: Any, wanted: dict[str, Any], *, check: bool = False) -> Report:
    plain = desired(**wanted)
    cluster = KafkaCluster(client, {"u": "p", "v": "p"}, lambda *_: True)
    return reconcile(cluster, lambda actual: changes(plain, actual), check=check)
