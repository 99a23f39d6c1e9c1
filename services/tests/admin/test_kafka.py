"""`millrace admin kafka`: what is declared, what is found, and the requests in between."""

import logging
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka import KafkaAdminClient
from kafka.admin import ScramMechanism, UserScramCredentialDeletion, UserScramCredentialUpsertion
from kafka.errors import InvalidConfigurationError, NoError, TopicAlreadyExistsError
from kafka.protocol.admin import AlterClientQuotasRequest
from services.tests.stands import stands_for

from millrace.admin.kafka import ConnectionFailures
from millrace.admin.kafka_cluster import KafkaCluster
from millrace.admin.kafka_state import Desired, changes, declared
from millrace.admin.plan import simulate
from millrace.admin.program import AdminError, reconcile

SECRET = "correct-horse"


def desired(**parts: Any) -> Desired:
    plain = {
        "bootstrap_servers": "kafka-1:9094",
        "client_listener": "kafka-1:9092",
        "topics": [],
        "users": [],
        "acls": [],
    }
    return msgspec.convert({**plain, **parts}, Desired)


def topic(name: str = "t", partitions: int = 3, **config: Any) -> dict[str, Any]:
    return {
        "name": name,
        "partitions": partitions,
        "replication_factor": 1,
        "config": {key.replace("_", "."): value for key, value in config.items()},
    }


def acl(name: str, operation: str, pattern: str = "literal") -> dict[str, str]:
    return {
        "principal": "User:u",
        "resource_type": "topic",
        "resource_name": name,
        "pattern": pattern,
        "operation": operation,
    }


@stands_for(KafkaAdminClient, tools=("accepts",))
class FakeClient:
    """The admin client's part of a broker that keeps what it is given."""

    def __init__(self) -> None:
        self.topics: dict[str, dict[str, Any]] = {}
        self.users: dict[str, dict[Any, Any]] = {}
        self.acls: list[Any] = []
        self.quotas: dict[tuple[Any, ...], dict[str, float]] = {}
        self._manager = SimpleNamespace(run=lambda send, request: send(request), send=self._send)

    def describe_topics(self) -> list[dict[str, Any]]:
        internal = {"name": "__consumer_offsets", "is_internal": True, "partitions": []}
        return [internal] + [
            {
                "name": name,
                "is_internal": False,
                "partitions": [{"replica_nodes": [1]}] * kept["partitions"],
            }
            for name, kept in self.topics.items()
        ]

    def describe_configs(self, resources: list[Any]) -> dict[str, Any]:
        return {
            "topic": {
                r.name: {k: {"value": v} for k, v in self.topics[r.name]["config"].items()}
                for r in resources
            }
        }

    def create_topics(self, new: dict[str, Any], *, raise_errors: bool) -> dict[str, Any]:
        assert not raise_errors
        answers = []
        for name, options in new.items():
            error = TopicAlreadyExistsError if name in self.topics else NoError
            answers.append({"name": name, "error_code": error.errno, "error_message": None})
            partitions, config = options["num_partitions"], dict(options["configs"])
            self.topics.setdefault(name, {"partitions": partitions, "config": config})
        return {"topics": answers}

    def wait_for_topics(self, names: list[str]) -> None:
        assert set(names) <= self.topics.keys()

    def create_partitions(self, counts: dict[str, int]) -> None:
        for name, count in counts.items():
            assert count > self.topics[name]["partitions"]
            self.topics[name]["partitions"] = count

    def alter_configs(self, resources: list[Any], *, raise_on_unknown: bool) -> dict[str, Any]:
        assert not raise_on_unknown
        results = {}
        for resource in resources:
            results[resource.name] = "OK"
            for key, (operation, value) in resource.configs.items():
                if key.startswith("no."):
                    error = InvalidConfigurationError(f"Unknown topic config name: {key}")
                    results[resource.name] = str(error)
                elif operation.name == "DELETE":
                    del self.topics[resource.name]["config"][key]
                else:
                    self.topics[resource.name]["config"][key] = value
        return {"topic": results}

    def describe_user_scram_credentials(self) -> dict[str, Any]:
        return {
            name: {"credential_infos": [{"mechanism": m} for m in credentials]}
            for name, credentials in self.users.items()
        }

    def alter_user_scram_credentials(self, alterations: list[Any]) -> dict[str, str | None]:
        answers: dict[str, str | None] = {one.user: None for one in alterations}
        for one in alterations:
            if not isinstance(one, UserScramCredentialDeletion):
                self.users.setdefault(one.user, {})[one.mechanism] = (one.salted_password, one.salt)
            elif self.users.get(one.user, {}).pop(one.mechanism, None) is None:
                answers[one.user] = "Attempt to delete a user credential that does not exist"
        self.users = {name: found for name, found in self.users.items() if found}
        return answers

    def describe_acls(self, _: Any) -> tuple[list[Any], Any]:
        return list(self.acls), NoError

    def create_acls(self, acls: list[Any]) -> dict[str, list[Any]]:
        self.acls += acls
        return {"succeeded": acls, "failed": []}

    def delete_acls(self, filters: list[Any]) -> list[tuple[Any, list[Any], Any]]:
        for one in filters:
            self.acls.remove(one)
        return [(one, [one], NoError) for one in filters]

    def _send(self, request: Any) -> Any:
        if isinstance(request, AlterClientQuotasRequest):
            return self._alter_quotas(request)
        entries = [
            SimpleNamespace(
                entity=[SimpleNamespace(entity_type=t, entity_name=n) for t, n in entity],
                values=[SimpleNamespace(key=k, value=v) for k, v in limits.items()],
            )
            for entity, limits in self.quotas.items()
        ]
        return SimpleNamespace(error_code=0, error_message=None, entries=entries)

    def _alter_quotas(self, request: Any) -> Any:
        for entity, operations in request.entries:
            limits = self.quotas.setdefault(tuple(entity), {})
            for key, value, remove in operations:
                if remove:
                    del limits[key]
                else:
                    limits[key] = value
        self.quotas = {entity: limits for entity, limits in self.quotas.items() if limits}
        return SimpleNamespace(entries=[])

    def accepts(self, user: str, password: str) -> bool:
        salted, salt = self.users[user][ScramMechanism.SCRAM_SHA_512]
        tried = UserScramCredentialUpsertion(
            user, ScramMechanism.SCRAM_SHA_512, password, salt=salt
        )
        return bool(tried.salted_password == salted)


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
