"""Attempts on MongoDB."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import bson
from pymongo import MongoClient
from pymongo.errors import OperationFailure

from millrace.clients import mongodb
from millrace.config import Settings
from millrace.feeds import FEEDS
from millrace.verify.access import wire
from millrace.verify.access.attempts import Attempt, encryption, expect
from millrace.verify.access.wire import (
    ACCEPTED,
    AUTHENTICATION,
    AUTHORISATION,
    Answer,
)

REFUSALS = {mongodb.AUTHENTICATION_FAILED: AUTHENTICATION, mongodb.UNAUTHORIZED: AUTHORISATION}
NEVER_MADE = "access_test"


@contextmanager
def attempts(settings: Settings) -> Iterator[list[Attempt]]:
    """All attempts; the last ones use the operator's own limited rights."""
    address = settings.mongodb_hosts.split(",")[0].strip()
    server = f"mongodb {address.rpartition(':')[2]}"
    collection = FEEDS[settings.feeds[0]].collection
    password = settings.mongodb_password.get_secret_value()
    with (
        mongodb.client(settings) as operator,
        _anonymous(settings) as nobody,
        mongodb.client(settings, password=f"not-{password}") as wrong_password,
        mongodb.client(settings, username="nobody") as unknown,
    ):
        database = settings.mongodb_database
        mine, theirs = operator[database], nobody[database]
        # Their targets do not exist, so that nothing is lost if they are allowed.
        tried: list[tuple[str, str, Callable[[], Any]]] = [
            ("anonymous: read", AUTHORISATION, lambda: theirs[collection].find_one()),
            ("anonymous: list databases", AUTHORISATION, nobody.list_database_names),
            ("anonymous: drop", AUTHORISATION, lambda: theirs.drop_collection(NEVER_MADE)),
            ("wrong password", AUTHENTICATION, lambda: wrong_password.admin.command("ping")),
            ("unknown user", AUTHENTICATION, lambda: unknown.admin.command("ping")),
            (f"write to {collection}", AUTHORISATION, lambda: _write(mine[collection])),
            ("drop a collection", AUTHORISATION, lambda: mine.drop_collection(NEVER_MADE)),
            ("write to another database", AUTHORISATION, lambda: _write(operator["other"]["c"])),
            ("read the users", AUTHORISATION, lambda: operator.admin["system.users"].find_one()),
            (
                "add a user",
                AUTHORISATION,
                lambda: mine.command("createUser", NEVER_MADE, pwd=password, roles=[]),
            ),
        ]
        yield [
            *encryption(server, address, settings.mongodb_ca_file, hello()),
            *(Attempt(server, name, kind, _refused(do)) for name, kind, do in tried),
        ]


def _anonymous(settings: Settings) -> mongodb.Client:
    return MongoClient(
        settings.mongodb_hosts,
        replicaSet=settings.mongodb_replica_set,
        tls=True,
        tlsCAFile=str(settings.mongodb_ca_file),
        serverSelectionTimeoutMS=int(1000 * wire.LIMIT_SECONDS),
    )


def _write(collection: Any) -> None:
    collection.insert_one({"_id": NEVER_MADE})


def _refused(do: Callable[[], Any]) -> Callable[[], Answer]:
    def attempt() -> Answer:
        try:
            do()
        except OperationFailure as error:
            name = (error.details or {}).get("codeName", "")
            return expect(REFUSALS, error, error.code, f"{error.code} {name}")
        return Answer(ACCEPTED, "done")

    return attempt


def hello() -> bytes:
    """MongoDB's first message in its own protocol (OP_MSG)."""
    body = b"\0\0\0\0\0" + bson.encode({"hello": 1, "$db": "admin"})
    length, request, response, message = 16 + len(body), 1, 0, 2013
    head = b"".join(n.to_bytes(4, "little") for n in (length, request, response, message))
    return head + body
