"""Connections to one MongoDB server, and its errors in one line."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.errors import PyMongoError

from millrace.admin.mongodb_state import MECHANISM
from millrace.admin.program import AdminError

ANSWER_MILLISECONDS = 5000

Client = MongoClient[dict[str, Any]]
Connect = Callable[[str, str, str], Client]
"""A client for a user (database, name, password) of the server; without a name, anonymous."""


def connector(hosts: str, ca_file: Path) -> Connect:
    """Connect only to this server, not to other members that it names."""

    def connect(database: str, name: str, password: str) -> Client:
        login: dict[str, Any] = {
            "username": name,
            "password": password,
            "authSource": database,
            "authMechanism": MECHANISM,
        }
        return MongoClient(
            hosts,
            appname="millrace-admin",
            directConnection=True,
            tls=True,
            tlsCAFile=str(ca_file),
            serverSelectionTimeoutMS=ANSWER_MILLISECONDS,
            socketTimeoutMS=4 * ANSWER_MILLISECONDS,
            **(login if name else {}),
        )

    return connect


@contextmanager
def clear_errors(what: str) -> Iterator[None]:
    """Convert the driver's errors to an AdminError that starts with `what`."""
    try:
        yield
    except (PyMongoError, OSError) as error:
        raise AdminError(f"{what}: {first_line(error)}") from error


def first_line(error: Exception) -> str:
    """The relevant part of an error."""
    # The driver appends its timeouts and the whole topology to some messages.
    details = getattr(error, "details", None) or {}
    return re.split(r" \(configured timeouts|, Timeout:|\n", details.get("errmsg") or str(error))[0]
