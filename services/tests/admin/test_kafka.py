"""`millrace admin kafka`: what is declared, what is found, and the requests in between."""

import logging
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka.admin import ScramMechanism
from services.tests.admin.fake_kafka import FakeClient, acl, desired, topic

from millrace.admin.kafka import ConnectionFailures
from millrace.admin.kafka_cluster import KafkaCluster
from millrace.admin.kafka_state import Desired, changes, declared
from millrace.admin.plan import simulate
from millrace.admin.program import AdminError, reconcile

SECRET = "correct-horse"


def apply(client: FakeClient, wanted: Desired, *, check: bool = False) -> Any:
    passwords = {user.name: user.password for user in wanted.users}
    cluster = KafkaCluster(client, passwords, client.accepts)
    return reconcile(cluster, lambda actual: changes(wanted, actual), check=check)


names = st.sampled_from(["a", "b", "c"])
declarations = st.fixed_dictionaries(
    {
        "topics": st.lists(
            st.builds(
                topic, names, st.just(2), retention_ms=st.integers(1, 3), compact=st.booleans()
            ),
            unique_by=lambda t: t["name"],
        ),
        "users": st.lists(
            st.fixed_dictionaries({"name": names, "password": st.sampled_from(["p", "q"])}),
            unique_by=lambda u: u["name"],
        ),
        "acls": st.lists(
            st.builds(
                acl,
                names,
                st.sampled_from(["read", "write"]),
                st.sampled_from(["literal", "prefixed"]),
            ),
            unique_by=lambda a: tuple(a.values()),
        ),
        "quotas": st.lists(
            st.fixed_dictionaries(
                {"user": names},
                optional={
                    "producer_byte_rate": st.integers(1, 3),
                    "request_percentage": st.just(5),
                },
            ),
            unique_by=lambda q: q["user"],
        ),
    }
)


@given(first=declarations, second=declarations)
def test_any_cluster_becomes_what_is_declared_and_stays_so(
    first: dict[str, Any], second: dict[str, Any]
) -> None:
    client = FakeClient()
    apply(client, desired(**first))
    foreseen = apply(client, desired(**second), check=True)
    assert apply(client, desired(**second)) == foreseen
    again = apply(client, desired(**second))
    assert not again.changed
    kept = {t["name"] for t in first["topics"]}
    assert client.topics.keys() == kept | {t["name"] for t in second["topics"]}
    assert client.users.keys() == {u["name"] for u in second["users"]}
    assert len(client.acls) == len(second["acls"])


@given(first=declarations, second=declarations)
def test_the_plan_alone_converges(first: dict[str, Any], second: dict[str, Any]) -> None:
    actual = declared(desired(**first))
    found, _ = changes(desired(**second), actual)
    assert changes(desired(**second), simulate(actual, found))[0] == []


def test_a_changed_password_is_found_by_trying_it_and_is_in_no_output() -> None:
    client = FakeClient()
    apply(client, desired(users=[{"name": "u", "password": "old"}]))
    report = apply(client, desired(users=[{"name": "u", "password": SECRET}]))
    assert report.changes == ["update user u: password another -> as declared"]
    assert SECRET not in msgspec.json.encode(report).decode()
    assert client.accepts("u", SECRET)


def test_a_credential_of_another_mechanism_is_replaced() -> None:
    client = FakeClient()
    client.users["u"] = {ScramMechanism.SCRAM_SHA_256: b""}
    apply(client, desired(users=[{"name": "u", "password": SECRET}]))
    assert list(client.users["u"]) == [ScramMechanism.SCRAM_SHA_512]


def test_an_undeclared_topic_is_reported_and_kept() -> None:
    client = FakeClient()
    apply(client, desired(topics=[topic("old")]))
    report = apply(client, desired())
    assert not report.changed
    assert report.notes == ["topic old is not declared; topics are never deleted"]
    assert "old" in client.topics


def test_a_setting_that_is_not_declared_gets_the_default_again() -> None:
    client = FakeClient()
    apply(client, desired(topics=[topic(retention_ms=5, cleanup_policy="compact")]))
    report = apply(client, desired(topics=[topic(cleanup_policy="compact")]))
    assert report.changes == ["update topic t: retention.ms 5 -> null"]
    assert client.topics["t"]["config"] == {"cleanup.policy": "compact"}


def test_numbers_and_booleans_are_compared_as_the_broker_writes_them() -> None:
    client = FakeClient()
    apply(client, desired(topics=[topic(retention_ms=-1, preallocate=True)]))
    assert client.topics["t"]["config"] == {"retention.ms": "-1", "preallocate": "true"}


def test_partitions_grow_with_a_warning() -> None:
    client = FakeClient()
    apply(client, desired(topics=[topic(partitions=1)]))
    report = apply(client, desired(topics=[topic(partitions=4)]))
    assert report.changes == ["update topic t: partitions 1 -> 4"]
    assert "topic t grows" in report.notes[0]


def test_partitions_do_not_shrink_and_nothing_else_is_changed_then() -> None:
    client = FakeClient()
    apply(client, desired(topics=[topic(partitions=3)]))
    with pytest.raises(AdminError, match="topic t has 3 partitions and cannot shrink to 1"):
        apply(client, desired(topics=[topic("new"), topic(partitions=1)]))
    assert client.topics.keys() == {"t"}


def test_a_replication_factor_cannot_be_changed_here() -> None:
    client = FakeClient()
    apply(client, desired(topics=[topic()]))
    with pytest.raises(AdminError, match="replication factor 1, not 3"):
        apply(client, desired(topics=[{**topic(), "replication_factor": 3}]))


def test_a_refused_setting_is_an_error_that_names_it() -> None:
    client = FakeClient()
    apply(client, desired(topics=[topic()]))
    with pytest.raises(AdminError, match=r"update topic t: no\.such null -> 1: .*Unknown"):
        apply(client, desired(topics=[topic(no_such=1)]))


def test_rights_are_given_before_others_are_taken() -> None:
    wanted = desired(acls=[acl("a", "read")], users=[{"name": "u", "password": "p"}])
    actual = declared(desired(acls=[acl("a", "write")], users=[{"name": "v", "password": "p"}]))
    found, _ = changes(wanted, actual)
    assert [str(change).split()[:2] for change in found] == [
        ["create", "user"],
        ["create", "acl"],
        ["remove", "acl"],
        ["remove", "user"],
    ]


@pytest.mark.parametrize(
    "parts",
    [
        {"topics": [topic(), topic()]},
        {"users": [{"name": "u", "password": "p"}] * 2},
        {"acls": [acl("a", "read")] * 2},
        {"quotas": [{"user": "u", "producer_byte_rate": n} for n in (1, 2)]},
    ],
)
def test_nothing_is_declared_twice(parts: dict[str, Any]) -> None:
    with pytest.raises(AdminError, match="declared twice"):
        declared(desired(**parts))


@pytest.mark.parametrize(
    "parts",
    [
        {"topics": [topic(partitions=0)]},
        {"topics": [{**topic(), "replicas": 1}]},
        {"users": [{"name": "u", "password": ""}]},
        {"acls": [acl("a", "reed")]},
        {"acls": [{**acl("a", "read"), "principal": "u"}]},
    ],
)
def test_nonsense_is_refused(parts: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        desired(**parts)


def test_the_reason_of_a_failed_connection_is_taken_from_the_client_log() -> None:
    failures = ConnectionFailures()
    messages = [
        (logging.WARNING, "Bootstrap connection to x failed: ECONNREFUSED"),
        (logging.WARNING, "Bootstrap x not ready"),
        (logging.ERROR, "Bootstrap failed: timeout"),
    ]
    for level, text in messages:
        failures.handle(logging.LogRecord("kafka", level, "", 0, text, None, None))
    assert failures.reason == "ECONNREFUSED"
