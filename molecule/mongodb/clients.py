"""Meet the server as its clients do, invited or not, and say how each of them fares."""

import json
import sys
from collections.abc import Callable
from typing import Any

from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

passwords: dict[str, str] = json.load(sys.stdin)


def connect(*, tls: bool = True, **login: Any) -> MongoClient[dict[str, Any]]:
    trust = {"tlsCAFile": "/run/secrets/ca.pem"} if tls else {}
    return MongoClient(
        "mongodb:27017", replicaSet="rs0", serverSelectionTimeoutMS=3000, tls=tls, **trust, **login
    )


def as_user(name: str, password: str = "", mechanism: str = "SCRAM-SHA-256") -> Any:
    """The database of the services, as this user."""
    source = "admin" if name == "admin" else "millrace"
    login = {"username": name, "password": password or passwords[name], "authSource": source}
    return connect(**login, authMechanism=mechanism).millrace


def outcome(attempt: Callable[[], Any]) -> str:
    try:
        attempt()
    except OperationFailure as error:
        return str((error.details or {}).get("codeName", error.code))
    except PyMongoError as error:
        return type(error).__name__
    return "done"


attempts: dict[str, Callable[[], Any]] = {
    "writer inserts": lambda: as_user("writer").written.insert_one({}),
    "writer finds": lambda: as_user("writer").written.find_one(),
    "writer makes an index": lambda: as_user("writer").written.create_index("symbol"),
    "writer drops": lambda: as_user("writer").written.drop(),
    "writer deletes": lambda: as_user("writer").written.delete_many({}),
    "writer inserts elsewhere": lambda: as_user("writer").other.insert_one({}),
    "writer reads another database": lambda: as_user("writer").client.admin.system.users.find_one(),
    "reader finds": lambda: as_user("reader").written.find_one(),
    "reader inserts": lambda: as_user("reader").written.insert_one({}),
    "administrator lists users": lambda: as_user("admin").client.admin.command("usersInfo", 1),
    "administrator runs JavaScript": lambda: as_user("admin").written.find_one({"$where": "true"}),
    "wrong password": lambda: as_user("writer", passwords["wrong"]).written.find_one(),
    "wrong password of the administrator": lambda: (
        as_user("admin", passwords["wrong admin"]).command("dbStats")
    ),
    "older mechanism": lambda: as_user("writer", mechanism="SCRAM-SHA-1").written.find_one(),
    "anonymous lists databases": lambda: connect().list_database_names(),
    "anonymous makes a user": lambda: connect().admin.command("createUser", "x", roles=["root"]),
    "without TLS": lambda: connect(tls=False).admin.command("ping"),
}  # fmt: skip
sys.stdout.write(json.dumps({name: outcome(attempt) for name, attempt in attempts.items()}))
