"""A Kafka cluster for the administration command: reads its state and makes changes."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from kafka import errors as kafka_errors
from kafka.admin import (
    ACL,
    ACLFilter,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    AlterConfigOp,
    ConfigResource,
    ResourcePattern,
    ResourcePatternFilter,
    ResourceType,
    ScramMechanism,
    UserScramCredentialDeletion,
    UserScramCredentialUpsertion,
)
from kafka.protocol.admin import AlterClientQuotasRequest, DescribeClientQuotasRequest

from millrace.admin.kafka_state import DEFAULT_ENTITY, acl_key, quota_key, topic_fields, user_fields
from millrace.admin.plan import Change, Fields, Key
from millrace.admin.program import DECLARED, OTHER, AdminError

TOPIC = "TOPIC"
MECHANISM = ScramMechanism.SCRAM_SHA_512

Accepts = Callable[[str, str], bool]
"""Whether the clients' listener accepts this user with this password."""


class KafkaCluster:
    """A cluster behind the admin client."""

    def __init__(self, client: Any, passwords: Mapping[str, str], accepts: Accepts) -> None:
        self._client = client
        self._passwords = passwords
        self._accepts = accepts

    def read(self) -> dict[Key, Fields]:
        """Read the actual state, with the declared users' passwords compared."""
        return {
            **self._topics(),
            **self._users(),
            **self._acls(),
            **self._quotas(),
        }

    def _topics(self) -> dict[Key, Fields]:
        found = [topic for topic in self._client.describe_topics() if not topic["is_internal"]]
        if not found:
            return {}
        resources = [ConfigResource(TOPIC, topic["name"]) for topic in found]
        configs = self._client.describe_configs(resources)["topic"]
        return {
            ("topic", topic["name"]): topic_fields(
                len(topic["partitions"]),
                max((len(p["replica_nodes"]) for p in topic["partitions"]), default=0),
                {name: entry["value"] for name, entry in configs[topic["name"]].items()},
            )
            for topic in found
        }

    def _users(self) -> dict[Key, Fields]:
        found = self._client.describe_user_scram_credentials()
        state: dict[Key, Fields] = {}
        for name, described in found.items():
            mechanisms = sorted(info["mechanism"] for info in described["credential_infos"])
            same = (
                name in self._passwords
                and MECHANISM in mechanisms
                and self._accepts(name, self._passwords[name])
            )
            state["user", name] = user_fields(
                DECLARED if same else OTHER, [_mechanism_text(m) for m in mechanisms]
            )
        return state

    def _acls(self) -> dict[Key, Fields]:
        everything = ACLFilter(
            None,
            None,
            ACLOperation.ANY,
            ACLPermissionType.ANY,
            ResourcePatternFilter(ResourceType.ANY, None, ACLResourcePatternType.ANY),
        )
        found, _ = self._client.describe_acls(everything)
        return {_key_of(acl): {} for acl in found}

    def _quotas(self) -> dict[Key, Fields]:
        answer = self._send(DescribeClientQuotasRequest(components=[], strict=False))
        _raise_for(answer.error_code, answer.error_message)
        return {
            quota_key({part.entity_type: part.entity_name for part in entry.entity}): {
                limit.key: limit.value for limit in entry.values
            }
            for entry in answer.entries or []
        }

    def _send(self, request: Any) -> Any:
        # The admin client does not support quotas; this is how its own calls work.
        manager = self._client._manager
        return manager.run(manager.send, request)

    def apply(self, found: Sequence[Change]) -> None:
        """Make the changes, each kind in one request, in the order of the plan."""
        kept = [change for change in found if change.after is not None]
        gone = [change for change in found if change.after is None]
        self._change_topics(_of("topic", kept))
        self._change_users(_of("user", kept))
        self._create_acls(_of("acl", kept))
        self._change_quotas(_of("quota", found))
        self._delete_acls(_of("acl", gone))
        self._change_users(_of("user", gone))

    def _change_topics(self, found: list[Change]) -> None:
        new: dict[str, dict[str, Any]] = {}
        for change in found:
            fields = dict(change.after or {})
            partitions, factor = fields.pop("partitions"), fields.pop("replication_factor")
            if change.before is None:
                new[change.name] = {
                    "num_partitions": partitions,
                    "replication_factor": factor,
                    "configs": fields,
                }
                continue
            different = change.fields()
            if different.pop("partitions", None):
                self._client.create_partitions({change.name: partitions})
            operations = {
                name: (AlterConfigOp.SET if value is not None else AlterConfigOp.DELETE, value)
                for name, (_, value) in different.items()
            }
            if operations:
                resource = ConfigResource(TOPIC, change.name, operations)
                # The broker's message about a wrong setting is better than the client's.
                answer = self._client.alter_configs([resource], raise_on_unknown=False)
                result = answer["topic"][change.name]
                if result != "OK":
                    raise AdminError(f"{change}: {result}")
        if new:
            for topic in self._client.create_topics(new, raise_errors=False)["topics"]:
                _raise_for(topic["error_code"], f"topic {topic['name']}: {topic['error_message']}")
            self._client.wait_for_topics(list(new))

    def _change_users(self, found: list[Change]) -> None:
        alterations: list[Any] = []
        for change in found:
            before = (change.before or {}).get("mechanisms", [])
            after = (change.after or {}).get("mechanisms", [])
            alterations += [
                UserScramCredentialDeletion(change.name, mechanism)
                for mechanism in before
                if mechanism not in after
            ]
            if change.after is not None:
                password = self._passwords[change.name]
                alterations.append(UserScramCredentialUpsertion(change.name, MECHANISM, password))
        if alterations:
            results = self._client.alter_user_scram_credentials(alterations)
            for name, error in results.items():
                if error:
                    raise AdminError(f"user {name}: {error}")

    def _create_acls(self, found: list[Change]) -> None:
        if found:
            failed = self._client.create_acls([_acl_of(c.key) for c in found])["failed"]
            if failed:
                raise AdminError(f"ACLs: {failed[0].__name__}")

    def _delete_acls(self, found: list[Change]) -> None:
        if found:
            for acl, _, error in self._client.delete_acls([_acl_of(c.key) for c in found]):
                if error is not kafka_errors.NoError:
                    raise AdminError(f"{acl}: {error.__name__}")

    def _change_quotas(self, found: list[Change]) -> None:
        if not found:
            return
        entries = [(_entity_of(change.key), list(_quota_ops(change))) for change in found]
        for entry in self._send(AlterClientQuotasRequest(entries=entries)).entries:
            _raise_for(entry.error_code, entry.error_message)


def _of(kind: str, found: Sequence[Change]) -> list[Change]:
    return [change for change in found if change.kind == kind]


def _raise_for(code: int, message: str | None) -> None:
    error = kafka_errors.for_code(code)
    if error is not kafka_errors.NoError:
        raise AdminError(f"{error.__name__}: {message or 'no further word'}")


def _mechanism_text(mechanism: Any) -> str:
    return str(mechanism.name).replace("_", "-")


def _key_of(acl: Any) -> Key:
    resource = acl.resource_pattern
    return acl_key(
        acl.principal,
        acl.operation.name.lower(),
        (
            resource.pattern_type.name.lower(),
            resource.resource_type.name.lower(),
            resource.resource_name,
        ),
        acl.permission_type.name.lower(),
        acl.host,
    )


def _acl_of(key: Key) -> Any:
    _, principal, permission, operation, _, pattern, kind, name, _, host = key
    return ACL(
        principal,
        host,
        ACLOperation[operation.upper()],
        ACLPermissionType[permission.upper()],
        ResourcePattern(ResourceType[kind.upper()], name, ACLResourcePatternType[pattern.upper()]),
    )


def _entity_of(key: Key) -> list[tuple[str, str | None]]:
    parts = [part.split("=", 1) for part in key[1:]]
    return [(kind, None if name == DEFAULT_ENTITY else name) for kind, name in parts]


def _quota_ops(change: Change) -> Iterator[tuple[str, float, bool]]:
    for name, (_, after) in change.fields().items():
        yield (name, after or 0.0, after is None)
