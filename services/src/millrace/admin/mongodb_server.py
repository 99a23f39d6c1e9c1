"""A MongoDB server for the administration command: reads its state and makes changes."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from pymongo.errors import ConnectionFailure, OperationFailure

from millrace.admin.mongodb_connection import Client, Connect, clear_errors, first_line
from millrace.admin.mongodb_state import (
    MECHANISM,
    Desired,
    administrator_fields,
    role_fields,
    role_names,
    set_fields,
    user_fields,
)
from millrace.admin.plan import Change, Fields, Key
from millrace.admin.program import DECLARED, OTHER, POLL_SECONDS, AdminError
from millrace.runtime.retry import wait_for

AUTHENTICATION_FAILED = 18
UNAUTHORIZED = 13

T = TypeVar("T")


class MongoServer:
    """One server, reached by localhost, with its declared credentials."""

    def __init__(self, desired: Desired, connect: Connect) -> None:
        self._desired = desired
        self._connect = connect
        self._clients: dict[str, Client] = {}
        self._users = {user.name: user for user in desired.users}
        self._accepted = ""

    def __enter__(self) -> "MongoServer":
        return self

    def __exit__(self, *_: object) -> None:
        for client in self._clients.values():
            client.close()

    def read(self) -> dict[Key, Fields]:
        """Read the actual state; a new server's state lacks what does not exist yet."""
        with clear_errors(self._desired.hosts):
            members = self._members()
            if members is None:
                return {}
            state: dict[Key, Fields] = {members[0]: members[1]}
            self._wait_for_primary()
            password = self._administrator_password()
            if password is None:
                return state
            name = self._desired.admin.name
            same = password == self._desired.admin.password
            state["administrator", name] = administrator_fields(DECLARED if same else OTHER)
            return {**state, **self._read_roles(password), **self._read_users(password)}

    def _members(self) -> tuple[Key, Fields] | None:
        hello = self._wait_for_answer()
        if "setName" in hello:
            hosts = [*hello["hosts"], *hello.get("passives", []), *hello.get("arbiters", [])]
            return ("replica set", hello["setName"]), set_fields(hosts)
        if not hello.get("isreplicaset"):
            raise AdminError(f"{self._desired.hosts} runs without a replica set")
        return None

    def _administrator_password(self) -> str | None:
        """The accepted one of the administrator's passwords; None: there is no user at all."""
        admin = self._desired.admin
        for password in (admin.password, *admin.previous_passwords):
            if self._accepts("admin", admin.name, password):
                self._accepted = password
                return password
        if self._has_users():
            raise AdminError(
                f"{self._desired.hosts} refuses the password of {admin.name}"
                + (", and the previous ones" if admin.previous_passwords else "")
            )
        return None

    def _has_users(self) -> bool:
        # A user without a name is never created: the refusal shows whether we would be allowed to.
        try:
            self._anonymous().admin.command("createUser", "", pwd="-", roles=[])  # noqa: S106 - see above
        except OperationFailure as error:
            return error.code == UNAUTHORIZED
        return False

    def _read_roles(self, password: str) -> dict[Key, Fields]:
        database = self._database(password)
        answer = database.command("rolesInfo", 1, showPrivileges=True)
        return {
            ("role", role["role"]): role_fields(
                {
                    _resource_name(database.name, privilege["resource"]): privilege["actions"]
                    for privilege in role["privileges"]
                },
                role_names(database.name, role["roles"]),
            )
            for role in answer["roles"]
        }

    def _read_users(self, password: str) -> dict[Key, Fields]:
        database = self._database(password)
        state: dict[Key, Fields] = {}
        for user in database.command("usersInfo", 1)["users"]:
            name = user["user"]
            declared = self._users.get(name)
            same = declared and self._accepts(database.name, name, declared.password)
            state["user", name] = user_fields(
                DECLARED if same else OTHER,
                role_names(database.name, user["roles"]),
                user.get("mechanisms", []),
            )
        return state

    def apply(self, found: Sequence[Change]) -> None:
        """Make the changes in order."""
        steps: dict[str, Callable[[Change], None]] = {
            "replica set": self._initiate,
            "administrator": self._change_administrator,
            "role": self._change_role,
            "user": self._change_user,
        }
        for change in found:
            with clear_errors(str(change)):
                steps[change.kind](change)

    def _initiate(self, change: Change) -> None:
        hosts = self._desired.members
        members: list[dict[str, Any]] = [{"_id": n, "host": host} for n, host in enumerate(hosts)]
        if len(members) > 1:
            # Only the primary can be administered, which is this server.
            members[0]["priority"] = 2
        self._anonymous().admin.command("replSetInitiate", {"_id": change.name, "members": members})
        self._wait_for_primary()

    def _change_administrator(self, change: Change) -> None:
        admin = self._desired.admin
        if change.before is not None:
            client = self._client(self._accepted)
            client.admin.command(
                "updateUser", admin.name, pwd=admin.password, mechanisms=[MECHANISM]
            )
            return
        self._anonymous().admin.command(
            "createUser", admin.name, pwd=admin.password, roles=["root"], mechanisms=[MECHANISM]
        )

    def _change_role(self, change: Change) -> None:
        database = self._database(self._desired.admin.password)
        if change.after is None:
            database.command("dropRole", change.name)
            return
        privileges = [
            {"resource": {"db": database.name, "collection": name}, "actions": actions}
            for name, actions in change.after["privileges"].items()
        ]
        verb = "createRole" if change.before is None else "updateRole"
        database.command(verb, change.name, privileges=privileges, roles=[])

    def _change_user(self, change: Change) -> None:
        database = self._database(self._desired.admin.password)
        if change.after is None:
            database.command("dropUser", change.name)
            return
        options: dict[str, Any] = {"roles": change.after["roles"]}
        if change.fields().keys() & {"password", "mechanisms"}:
            options["pwd"] = self._users[change.name].password
            options["mechanisms"] = [MECHANISM]
        verb = "createUser" if change.before is None else "updateUser"
        database.command(verb, change.name, **options)

    def _database(self, password: str) -> Any:
        return self._client(password)[self._desired.database]

    def _accepts(self, database: str, name: str, password: str) -> bool:
        # A separate client: after a refusal it treats the server as lost for some seconds.
        with self._connect(database, name, password) as client:
            try:
                client.admin.command("ping")
            except OperationFailure as error:
                if error.code != AUTHENTICATION_FAILED:
                    raise
                return False
        return True

    def _anonymous(self) -> Client:
        return self._client("")

    def _client(self, password: str) -> Client:
        """The administrator's client with this password; without one, anonymous."""
        if password not in self._clients:
            name = self._desired.admin.name if password else ""
            self._clients[password] = self._connect("admin", name, password)
        return self._clients[password]

    def _wait_for_answer(self) -> Mapping[str, Any]:
        return self._wait("does not answer", self._anonymous_hello)

    def _wait_for_primary(self) -> None:
        def primary() -> bool:
            return bool(self._anonymous_hello()["isWritablePrimary"])

        self._wait("has not become the primary", primary)

    def _anonymous_hello(self) -> dict[str, Any]:
        return dict(self._anonymous().admin.command("hello"))

    def _wait(self, what: str, ask: Callable[[], T]) -> T:
        reason = ""

        def answered() -> T | None:
            nonlocal reason
            try:
                return ask()
            except ConnectionFailure as error:
                reason = f": {first_line(error)}"
                return None

        seconds = self._desired.wait_seconds
        if answer := wait_for(answered, bool, seconds, POLL_SECONDS):
            return answer
        raise AdminError(f"{self._desired.hosts} {what} within {seconds:g} s{reason}")


def _resource_name(database: str, resource: Mapping[str, Any]) -> str:
    if resource.get("db") == database:
        return str(resource["collection"])
    return str(dict(resource))
