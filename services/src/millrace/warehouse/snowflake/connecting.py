"""Connections to Snowflake, with a key pair and never with a password, and what its errors mean."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import snowflake.connector
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from snowflake.connector import SnowflakeConnection, errors

from millrace.config import Settings
from millrace.errors import MillraceError
from millrace.runtime.redaction import shown

LOGIN_SECONDS = 30
"""Until an account that does not answer is given up."""
ANSWER_SECONDS = 3600
"""Of a statement."""
LONGEST_REASON = 300
DOES_NOT_EXIST = (2003, 2043)
NO_WAREHOUSE = (606, 607, 609, 90073)
"""None is chosen or may be used; it is suspended, and does not resume; its quota is used up."""
REFUSED_KEY = (390100, 390144)
"""The user is unknown, or the key is not theirs: it does not say which."""
CONNECT = "connect"
TAG = "millrace"
"""Of every statement, in the history of queries."""


class SnowflakeFailed(MillraceError):
    """Snowflake cannot do something, or does not answer."""


class NoKey(MillraceError):
    """The private key cannot be read."""


def check(settings: Settings) -> None:
    """Check that there are an account and a key. Raises ConfigurationError, NoKey."""
    settings.require("snowflake_account")
    path = settings.snowflake_private_key_file
    try:
        load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise NoKey(f"cannot read the private key {path}: {error.strerror}") from None
    except (ValueError, TypeError):
        raise NoKey(f"{path} is no private key in PEM without a passphrase") from None


def parameters(settings: Settings) -> dict[str, Any]:
    """What the client is told to connect to."""
    return {
        "account": settings.snowflake_account,
        "user": settings.snowflake_user,
        "private_key_file": str(settings.snowflake_private_key_file),
        "warehouse": settings.snowflake_warehouse,
        "database": settings.snowflake_database,
        "schema": settings.snowflake_schema,
        "login_timeout": LOGIN_SECONDS,
        "network_timeout": ANSWER_SECONDS,
    }


@contextmanager
def connected(settings: Settings, role: str) -> Iterator[SnowflakeConnection]:
    """A connection in a role. Raises SnowflakeFailed, NoKey, ConfigurationError."""
    check(settings)
    with explained(settings, role, CONNECT):
        connection = snowflake.connector.connect(
            **parameters(settings),
            role=role,
            session_parameters={
                "QUERY_TAG": TAG,
                "STATEMENT_TIMEOUT_IN_SECONDS": ANSWER_SECONDS,
            },
        )
    try:
        yield connection
    finally:
        connection.close()


@contextmanager
def explained(settings: Settings, role: str, what: str) -> Iterator[None]:
    """Make an error of Snowflake one line that says what to do."""
    try:
        yield
    except errors.Error as error:
        said = shown(error.msg or error, LONGEST_REASON)
        raise SnowflakeFailed(
            f"Snowflake: {_meaning(settings, role, what, error)}: {said}"
        ) from error


def _meaning(settings: Settings, role: str, what: str, error: errors.Error) -> str:
    user, number = settings.snowflake_user, error.errno
    if what == CONNECT:
        if isinstance(error, errors.OperationalError | errors.HttpError):
            return f"the account {settings.snowflake_account} cannot be reached"
        if number in REFUSED_KEY:
            return (
                f"it refuses the key {settings.snowflake_private_key_file} of the user {user}"
                " (millrace warehouse snowflake-sql objects gives a user its public half)"
            )
        return f"the user {user} cannot log in with the role {role}"
    if number in NO_WAREHOUSE:
        why = "resume it, raise the quota of its resource monitor, or let the role use it"
        return f"the warehouse {settings.snowflake_warehouse} does not run for {role} ({why})"
    if number in DOES_NOT_EXIST:
        return f"cannot {what}: something is not there, or the role {role} may not use it"
    return f"cannot {what}"
