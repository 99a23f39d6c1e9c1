"""The declaration of a Kafka cluster, as states that can be compared. No I/O."""

from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec

from millrace.admin.plan import Change, Fields, Key, State, plan
from millrace.admin.program import DECLARED, AdminError, state_of

KINDS = ("topic", "user", "acl", "quota")
MECHANISM = "SCRAM-SHA-512"
DEFAULT_ENTITY = "<default>"
QUOTAS = ("producer_byte_rate", "consumer_byte_rate", "request_percentage")

Principal = Annotated[str, msgspec.Meta(pattern="^User:.+$")]


class Topic(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A topic. A setting that is not in `config` has the broker's default."""

    name: str
    partitions: Annotated[int, msgspec.Meta(ge=1)]
    replication_factor: Annotated[int, msgspec.Meta(ge=1)]
    config: dict[str, str | bool | int | float] = {}


class User(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A user with a SCRAM-SHA-512 credential."""

    name: str
    password: Annotated[str, msgspec.Meta(min_length=1)]


class Acl(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Something that a principal may do, from any host."""

    principal: Principal
    resource_type: Literal["topic", "group", "cluster", "transactional_id"]
    resource_name: str
    pattern: Literal["literal", "prefixed"]
    operation: Literal[
        "all", "read", "write", "create", "delete", "alter", "describe", "cluster_action",
        "describe_configs", "alter_configs", "idempotent_write",
    ]  # fmt: skip


class Quota(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Limits of a user on each broker: bytes per second, and percent of request threads' time."""

    user: str
    producer_byte_rate: float | None = None
    consumer_byte_rate: float | None = None
    request_percentage: float | None = None


class Desired(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The declaration of a cluster."""

    bootstrap_servers: str
    client_listener: str
    topics: list[Topic]
    users: list[User]
    acls: list[Acl]
    quotas: list[Quota] = []
    wait_seconds: float = 60.0


def topic_fields(partitions: int, replication_factor: int, config: Mapping[str, str]) -> Fields:
    """The fields of a topic in a state."""
    return {"partitions": partitions, "replication_factor": replication_factor, **config}


def acl_key(
    principal: str, operation: str, resource: tuple[str, str, str],
    permission: str = "allow", host: str = "*",
) -> Key:  # fmt: skip
    """The key of an ACL, which has no fields."""
    return ("acl", principal, permission, operation, "on", *resource, "from", host)


def user_fields(password: str, mechanisms: list[str]) -> Fields:
    """The fields of a user in a state; `password` only shows whether it is the declared one."""
    return {"password": password, "mechanisms": mechanisms}


def quota_key(entity: Mapping[str, str | None]) -> Key:
    """The key of a quota; the entity maps its types (user, client-id) to names, None is default."""
    return ("quota", *(f"{kind}={entity[kind] or DEFAULT_ENTITY}" for kind in sorted(entity)))


def declared(desired: Desired) -> dict[Key, Fields]:
    """The desired state; raises AdminError for duplicates."""
    pairs: list[tuple[Key, Fields]] = [
        (
            ("topic", topic.name),
            topic_fields(
                topic.partitions,
                topic.replication_factor,
                {name: _config_text(value) for name, value in topic.config.items()},
            ),
        )
        for topic in desired.topics
    ]
    pairs += [(("user", user.name), user_fields(DECLARED, [MECHANISM])) for user in desired.users]
    pairs += [(acl_key(acl.principal, acl.operation, _resource(acl)), {}) for acl in desired.acls]
    for quota in desired.quotas:
        limits = {name: getattr(quota, name) for name in QUOTAS}
        limits = {name: float(value) for name, value in limits.items() if value is not None}
        if limits:
            pairs.append((quota_key({"user": quota.user}), limits))
    return state_of(pairs)


def _resource(acl: Acl) -> tuple[str, str, str]:
    return acl.pattern, acl.resource_type, acl.resource_name


def _config_text(value: str | float | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def changes(desired: Desired, actual: State) -> tuple[list[Change], list[str]]:
    """List the changes to a cluster, and differences that are left on purpose.

    A change that Kafka does not support raises AdminError before anything is changed.
    """
    wanted = declared(desired)
    undeclared = sorted(key for key in actual if key[0] == "topic" and key not in wanted)
    notes = [f"topic {key[1]} is not declared; topics are never deleted" for key in undeclared]
    kept = {key: fields for key, fields in actual.items() if key not in undeclared}
    found = plan(wanted, kept, KINDS)
    for change in found:
        if change.kind == "topic" and change.before is not None:
            _refuse_impossible(change)
            if "partitions" in change.fields():
                notes.append(
                    f"topic {change.name} grows: keys are spread anew, and what is derived from a "
                    "symbol's history starts again in its new partition"
                )
    return found, notes


def _refuse_impossible(change: Change) -> None:
    fields = change.fields()
    before, after = fields.get("partitions", (0, 0))
    if after < before:
        raise AdminError(
            f"topic {change.name} has {before} partitions and cannot shrink to {after}"
        )
    if "replication_factor" in fields:
        before, after = fields["replication_factor"]
        raise AdminError(
            f"topic {change.name} has replication factor {before}, not {after}: "
            "reassign its partitions first"
        )
