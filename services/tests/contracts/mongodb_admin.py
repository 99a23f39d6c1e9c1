"""What holds of a MongoDB server from its first start on: see admin.mongodb_server."""

from collections.abc import Callable
from typing import Any

import pytest
from pymongo.errors import NotPrimaryError, OperationFailure
from services.tests.admin.fake_mongodb import desired, role, user

from millrace.admin.mongodb_connection import Connect
from millrace.admin.mongodb_server import MongoServer
from millrace.admin.mongodb_state import changes
from millrace.admin.program import AdminError, Report, reconcile

Fresh = tuple[Connect, str]
"""What connects to a server that was never set up, and its address."""
UNAUTHORIZED, AUTHENTICATION_FAILED = 13, 18

FIRST: dict[str, Any] = {
    "roles": [role("writer", "c", "insert", "find"), role("old", "c", "find")],
    "users": [user("processor", "p", "writer"), user("api", "q", "read"), user("gone", "r")],
}
THEN: dict[str, Any] = {
    "roles": [role("writer", "c", "insert")],
    "users": [user("processor", "other", "writer"), user("api", "q", "readWrite")],
}


class Administration:
    """Of one server through its life: it takes seconds to start one."""

    def test_a_server_lives(self, fresh: Fresh) -> None:
        connect, address = fresh

        def apply(*, check: bool = False, **parts: Any) -> Report:
            plain = {"hosts": address, "members": [address], "wait_seconds": 30}
            wanted = desired(**(plain | parts))
            with MongoServer(wanted, connect) as server:
                return reconcile(server, lambda actual: (changes(wanted, actual), []), check=check)

        with pytest.raises(NotPrimaryError):
            nameless(connect, "")
        foreseen = apply(check=True, **FIRST)
        made = apply(**FIRST)
        assert made.changes == foreseen.changes
        assert [change.split(":")[0] for change in made.changes] == [
            "create replica set rs0",
            "create administrator admin",
            "create role old",
            "create role writer",
            "create user api",
            "create user gone",
            "create user processor",
        ]
        assert not apply(**FIRST).changed

        assert refused(lambda: nameless(connect, "")) == UNAUTHORIZED
        assert refused(lambda: ping(connect, "millrace", "processor", "wrong")) == (
            AUTHENTICATION_FAILED
        )
        assert refused(lambda: ping(connect, "millrace", "nobody", "p")) == AUTHENTICATION_FAILED
        ping(connect, "millrace", "processor", "p")

        changed = apply(**THEN)
        assert [change.split(":")[0] for change in changed.changes] == [
            "update role writer",
            "update user api",
            "update user processor",
            "remove user gone",
            "remove role old",
        ]
        assert not apply(**THEN).changed
        assert refused(lambda: ping(connect, "millrace", "processor", "p")) == (
            AUTHENTICATION_FAILED
        )

        admin = {"name": "admin", "password": "a new one", "previous_passwords": ["correct-horse"]}
        assert apply(**THEN, admin=admin).changes == [
            "update administrator admin: password another -> as declared"
        ]
        with pytest.raises(AdminError, match="refuses the password of admin"):
            apply(**THEN)


def ping(connect: Connect, *login: str) -> None:
    with connect(*login) as client:
        client.admin.command("ping")


def nameless(connect: Connect, name: str) -> None:
    with connect("admin", "", "") as client:
        client.admin.command("createUser", name, pwd="-", roles=[])


def refused(attempt: Callable[[], None]) -> int | None:
    """The code of what the server says against it."""
    with pytest.raises(OperationFailure) as caught:
        attempt()
    return caught.value.code
