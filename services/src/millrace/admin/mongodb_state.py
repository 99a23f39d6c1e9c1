"""The declaration of a MongoDB server, as states that can be compared. No I/O."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any

import msgspec

from millrace.admin.plan import Change, Fields, Key, State, plan
from millrace.admin.program import DECLARED, AdminError, state_of

KINDS = ("replica set", "administrator", "role", "user")
MECHANISM = "SCRAM-SHA-256"

Password = Annotated[str, msgspec.Meta(min_length=1)]


class Administrator(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The first user, with the role `root`."""

    name: str
    password: Password
    previous_passwords: list[Password] = []
    """Tried if `password` is refused, and then replaced by it."""


class Privilege(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Actions on a collection of the database; an empty name means every collection."""

    collection: str
    actions: list[str]


class Role(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A role of the database."""

    name: str
    privileges: list[Privilege]


class User(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A user of the database; `roles` are roles of that database, built in or declared here."""

    name: str
    password: Password
    roles: list[str]


class Desired(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The declaration of a server."""

    hosts: str
    members: Annotated[list[str], msgspec.Meta(min_length=1)]
    """Members of the replica set. The first is this server, and preferably the primary."""
    replica_set: str
    admin: Administrator
    database: str
    roles: list[Role] = []
    users: list[User] = []
    wait_seconds: float = 60.0


def set_fields(members: Iterable[str]) -> Fields:
    """The fields of the replica set in a state."""
    return {"members": sorted(members)}


def role_fields(privileges: Mapping[str, Iterable[str]], inherited: Iterable[str] = ()) -> Fields:
    """The fields of a role in a state; `privileges` maps collections to actions."""
    fields: dict[str, Any] = {
        "privileges": {name: sorted(set(actions)) for name, actions in privileges.items()}
    }
    if inherited := sorted(inherited):
        fields["inherited"] = inherited
    return fields


def user_fields(password: str, roles: Iterable[str], mechanisms: Iterable[str]) -> Fields:
    """The fields of a user in a state; `password` only shows whether it is the declared one."""
    return {
        "password": password,
        "roles": sorted(set(roles)),
        "mechanisms": sorted(mechanisms),
    }


def administrator_fields(password: str) -> Fields:
    """The fields of the administrator in a state."""
    return {"password": password}


def declared(desired: Desired) -> dict[Key, Fields]:
    """The desired state; raises AdminError for duplicates."""
    pairs: list[tuple[Key, Fields]] = [
        (("replica set", desired.replica_set), set_fields(desired.members)),
        (("administrator", desired.admin.name), administrator_fields(DECLARED)),
    ]
    for role in desired.roles:
        privileges: dict[str, list[str]] = {}
        for privilege in role.privileges:
            privileges.setdefault(privilege.collection, []).extend(privilege.actions)
        pairs.append((("role", role.name), role_fields(privileges)))
    pairs += [
        (("user", user.name), user_fields(DECLARED, user.roles, [MECHANISM]))
        for user in desired.users
    ]
    return state_of(pairs)


def changes(desired: Desired, actual: State) -> list[Change]:
    """List the changes to a server.

    A change that must not be made raises AdminError before anything is changed.
    """
    wanted = declared(desired)
    for key, fields in actual.items():
        if key[0] == "replica set" and (key not in wanted or fields != wanted[key]):
            raise AdminError(
                f"the server belongs to replica set {key[1]} with members "
                f"{', '.join(fields['members'])}; declared is {desired.replica_set} with "
                f"{', '.join(desired.members)}: reconfigure it by hand, "
                "or use the server's own name"
            )
    return plan(wanted, actual, KINDS)


def role_names(database: str, entries: Iterable[Mapping[str, Any]]) -> list[str]:
    """Names of roles as in the declaration: without the database if it is this one."""
    return [
        entry["role"] if entry["db"] == database else f"{entry['db']}.{entry['role']}"
        for entry in entries
    ]
