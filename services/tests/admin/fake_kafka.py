"""What stands for Kafka's administration client, and what is declared of it."""

from types import SimpleNamespace
from typing import Any

import msgspec
from kafka import KafkaAdminClient
from kafka.admin import ScramMechanism, UserScramCredentialDeletion, UserScramCredentialUpsertion
from kafka.errors import InvalidConfigurationError, NoError, TopicAlreadyExistsError
from kafka.net.manager import KafkaConnectionManager
from kafka.protocol.admin import AlterClientQuotasRequest
from services.tests.stands import standing_for, stands_for

from millrace.admin.kafka_state import Desired


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
        self._manager = standing_for(
            KafkaConnectionManager, run=lambda send, request: send(request), send=self._send
        )

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
