"""`millrace admin mongodb`: against a server that behaves as MongoDB does at first."""

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymongo import MongoClient
from pymongo.database import Database
from pymongo.errors import AutoReconnect, NotPrimaryError, OperationFailure
from services.tests.stands import stands_for

from millrace.admin.mongodb_server import MongoServer
from millrace.admin.mongodb_state import Desired, changes
from millrace.admin.program import AdminError, Report, reconcile

SECRET = "correct-horse"
MEMBER = "mongodb:27017"


def desired(**parts: Any) -> Desired:
    plain = {
        "hosts": "localhost:27017",
        "members": [MEMBER],
        "replica_set": "rs0",
        "admin": {"name": "admin", "password": SECRET},
        "database": "millrace",
        "wait_seconds": 0.5,
    }
    return msgspec.convert({**plain, **parts}, Desired)


def role(name: str, collection: str = "c", *actions: str) -> dict[str, Any]:
    return {"name": name, "privileges": [{"collection": collection, "actions": list(actions)}]}


def user(name: str, password: str = "p", *roles: str) -> dict[str, Any]:
    return {"name": name, "password": password, "roles": list(roles)}


class FakeMongo:
    """A server with a replica set name, users, roles, and the localhost exception."""

    def __init__(self) -> None:
        self.standalone = False
        self.unreachable = 0
        self.replica_set: dict[str, Any] | None = None
        self.users: dict[tuple[str, str], dict[str, Any]] = {}
        self.roles: dict[tuple[str, str], dict[str, Any]] = {}
        self.commands: list[str] = []
        self.updated: dict[str, Any] = {}

    def connect(self, database: str, name: str, password: str) -> Any:
        return FakeConnection(self, database, name, password)

    def run(self, login: tuple[str, ...], database: str, command: str, *a: Any, **o: Any) -> Any:
        if self.unreachable:
            self.unreachable -= 1
            raise AutoReconnect("connection refused (configured timeouts: many)")
        source, name, password = login
        found = self.users.get((source, name))
        if name and (found is None or found["pwd"] != password):
            raise OperationFailure(
                "Authentication failed.", 18, {"errmsg": "Authentication failed."}
            )
        if command not in ("hello", "ping", "replSetInitiate") and self.replica_set is None:
            raise NotPrimaryError("not primary")
        if command == "createUser" and not name and not a[0]:
            raise OperationFailure("refused", 13 if self.users else 2)
        if command not in ("hello", "ping") and not name and self.users:
            raise OperationFailure("command requires authentication", 13)
        if command not in ("hello", "ping", "rolesInfo", "usersInfo"):
            self.commands.append(command)
        return getattr(self, command)(database, *a, **o)

    def ping(self, _: str) -> dict[str, Any]:
        return {"ok": 1}

    def hello(self, _: str) -> dict[str, Any]:
        if self.standalone:
            return {"isWritablePrimary": True}
        if self.replica_set is None:
            return {"isWritablePrimary": False, "isreplicaset": True}
        hosts = [member["host"] for member in self.replica_set["members"]]
        return {"isWritablePrimary": True, "setName": self.replica_set["_id"], "hosts": hosts}

    def replSetInitiate(self, _: str, config: dict[str, Any]) -> None:  # noqa: N802
        assert self.replica_set is None
        self.replica_set = config

    def createUser(self, database: str, name: str, **options: Any) -> None:  # noqa: N802
        assert (database, name) not in self.users
        self.users[database, name] = options

    def updateUser(self, database: str, name: str, **options: Any) -> None:  # noqa: N802
        self.users[database, name] |= options
        self.updated = options

    def dropUser(self, database: str, name: str) -> None:  # noqa: N802
        del self.users[database, name]

    def createRole(self, database: str, name: str, **options: Any) -> None:  # noqa: N802
        assert (database, name) not in self.roles
        self.roles[database, name] = options

    def updateRole(self, database: str, name: str, **options: Any) -> None:  # noqa: N802
        self.roles[database, name] |= options

    def dropRole(self, database: str, name: str) -> None:  # noqa: N802
        del self.roles[database, name]

    def rolesInfo(self, database: str, _: int, **__: Any) -> dict[str, Any]:  # noqa: N802
        return {
            "roles": [{"role": name, **r} for (db, name), r in self.roles.items() if db == database]
        }

    def usersInfo(self, database: str, _: int) -> dict[str, Any]:  # noqa: N802
        return {
            "users": [
                {
                    "user": name,
                    "roles": [{"role": role, "db": database} for role in kept["roles"]],
                    "mechanisms": kept["mechanisms"],
                }
                for (db, name), kept in self.users.items()
                if db == database
            ]
        }


@stands_for(MongoClient)
class FakeConnection:
    """The part of a client that is used: `client[database].command(...)`."""

    def __init__(self, server: FakeMongo, *login: str) -> None:
        self.server, self.login = server, login
        self.closed = False

    @property
    def admin(self) -> Any:
        return self["admin"]

    def __getitem__(self, name: str) -> Any:
        assert not self.closed
        connection = self

        @stands_for(Database)
        class Named:
            def __init__(self) -> None:
                self.name = name

            def command(self, command: str, *a: Any, **o: Any) -> Any:
                return connection.server.run(connection.login, name, command, *a, **o)

        return Named()

    def close(self) -> None:
        self.closed = True

    def __enter__(self) -> "FakeConnection":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def apply(mongo: FakeMongo, wanted: Desired, *, check: bool = False) -> Report:
    mongo.commands.clear()
    with MongoServer(wanted, mongo.connect) as server:
        return reconcile(server, lambda actual: (changes(wanted, actual), []), check=check)


WANTED = {
    "roles": [role("writer", "c", "insert", "find")],
    "users": [user("processor", "p", "writer"), user("api", "q", "read")],
}


def test_a_server_is_set_up_from_its_first_start() -> None:
    mongo = FakeMongo()
    report = apply(mongo, desired(**WANTED))
    assert [change.split(":")[0] for change in report.changes] == [
        "create replica set rs0",
        "create administrator admin",
        "create role writer",
        "create user api",
        "create user processor",
    ]
    assert mongo.replica_set == {"_id": "rs0", "members": [{"_id": 0, "host": MEMBER}]}
    assert mongo.users["admin", "admin"]["roles"] == ["root"]
    assert mongo.users["millrace", "processor"]["mechanisms"] == ["SCRAM-SHA-256"]
    assert not apply(mongo, desired(**WANTED)).changed


def test_check_mode_foresees_the_first_set_up_and_does_nothing() -> None:
    mongo = FakeMongo()
    foreseen = apply(mongo, desired(**WANTED), check=True)
    assert mongo.commands == []
    assert foreseen == apply(mongo, desired(**WANTED))


@pytest.mark.parametrize("steps", range(6))
def test_an_interrupted_set_up_is_finished_by_the_next(steps: int) -> None:
    mongo = FakeMongo()
    wanted = desired(**WANTED)
    with MongoServer(wanted, mongo.connect) as server:
        server.apply(changes(wanted, server.read())[:steps])
    assert apply(mongo, wanted).changed == (steps < 5)
    assert not apply(mongo, wanted).changed


names = st.sampled_from(["a", "b", "c"])
roles = st.lists(
    st.builds(role, names, st.sampled_from(["x", "y"]), st.sampled_from(["find", "insert"])),
    unique_by=lambda r: r["name"],
)
users = st.lists(
    st.builds(user, names, st.sampled_from(["p", "q"]), st.sampled_from(["read", "readWrite"])),
    unique_by=lambda u: u["name"],
)
declarations = st.fixed_dictionaries({"roles": roles, "users": users})


@given(first=declarations, second=declarations)
def test_any_server_becomes_what_is_declared_and_stays_so(
    first: Mapping[str, Any], second: Mapping[str, Any]
) -> None:
    mongo = FakeMongo()
    apply(mongo, desired(**first))
    foreseen = apply(mongo, desired(**second), check=True)
    assert apply(mongo, desired(**second)) == foreseen
    assert not apply(mongo, desired(**second)).changed
    assert {n for db, n in mongo.users if db == "millrace"} == {u["name"] for u in second["users"]}
    assert {n for _, n in mongo.roles} == {r["name"] for r in second["roles"]}


def test_a_changed_password_is_found_by_trying_it_and_is_in_no_output() -> None:
    mongo = FakeMongo()
    apply(mongo, desired(users=[user("api", "old", "read")]))
    report = apply(mongo, desired(users=[user("api", "battery-staple", "read")]))
    assert report.changes == ["update user api: password another -> as declared"]
    assert mongo.users["millrace", "api"]["pwd"] == "battery-staple"
    text = msgspec.json.encode(report).decode()
    assert "battery-staple" not in text
    assert SECRET not in text


def test_changed_roles_leave_the_password_alone() -> None:
    mongo = FakeMongo()
    apply(mongo, desired(users=[user("api", "p", "read")]))
    report = apply(mongo, desired(users=[user("api", "p", "readWrite")]))
    assert report.changes == ['update user api: roles ["read"] -> ["readWrite"]']
    assert mongo.updated == {"roles": ["readWrite"]}
    assert mongo.users["millrace", "api"]["roles"] == ["readWrite"]


def test_the_administrator_password_is_changed_with_a_previous_one() -> None:
    mongo = FakeMongo()
    apply(mongo, desired())
    new = {"name": "admin", "password": "new", "previous_passwords": ["older", SECRET]}
    assert apply(mongo, desired(admin=new)).changed
    assert mongo.users["admin", "admin"]["pwd"] == "new"
    assert not apply(mongo, desired(admin=new)).changed


def test_a_refused_administrator_password_is_an_error_and_changes_nothing() -> None:
    mongo = FakeMongo()
    apply(mongo, desired())
    wrong = {"name": "admin", "password": "wrong"}
    with pytest.raises(AdminError, match="refuses the password of admin"):
        apply(mongo, desired(admin=wrong))
    assert mongo.commands == []


def test_another_replica_set_is_refused() -> None:
    mongo = FakeMongo()
    apply(mongo, desired())
    with pytest.raises(AdminError, match=r"belongs to replica set rs0 .* declared is rs9"):
        apply(mongo, desired(replica_set="rs9"))
    with pytest.raises(AdminError, match="members mongodb:27017; declared is rs0 with elsewhere"):
        apply(mongo, desired(members=["elsewhere:27017"]))
    assert mongo.commands == []


def test_a_server_without_a_replica_set_is_refused() -> None:
    mongo = FakeMongo()
    mongo.standalone = True
    with pytest.raises(AdminError, match="runs without a replica set"):
        apply(mongo, desired())


def test_a_starting_server_is_waited_for() -> None:
    mongo = FakeMongo()
    mongo.unreachable = 1
    assert apply(mongo, desired()).changed


def test_a_server_that_does_not_answer_is_an_error_of_one_line() -> None:
    mongo = FakeMongo()
    mongo.unreachable = 1_000_000
    with pytest.raises(AdminError) as caught:
        apply(mongo, desired())
    assert str(caught.value) == ("localhost:27017 does not answer within 0.5 s: connection refused")


def test_a_refused_change_names_the_change(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OperationFailure("long", 2, {"errmsg": "Unrecognized action: fly"})

    monkeypatch.setattr(FakeMongo, "createRole", refuse)
    with pytest.raises(AdminError, match=r"create role r: .*: Unrecognized action: fly"):
        apply(FakeMongo(), desired(roles=[role("r", "c", "fly")]))


def test_nothing_is_declared_twice() -> None:
    with pytest.raises(AdminError, match="declared twice: user api"):
        apply(FakeMongo(), desired(users=[user("api"), user("api")]))
