"""What stands for MongoDB from its first start, and what is declared of it."""

from typing import Any

import msgspec
from pymongo import MongoClient
from pymongo.database import Database
from pymongo.errors import AutoReconnect, NotPrimaryError, OperationFailure
from services.tests.stands import stands_for

from millrace.admin.mongodb_state import Desired

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
