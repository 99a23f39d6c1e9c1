"""Checks of a condition and their results. Many checks verify a part of the pipeline."""

from collections.abc import Callable
from pathlib import Path

import msgspec
from kafka.errors import KafkaError
from pymongo.errors import PyMongoError

from millrace.clients import mongodb
from millrace.errors import MillraceError
from millrace.verify.access import wire


class Check(msgspec.Struct, frozen=True):
    """A check: its subject, what was found, and whether it passed."""

    about: str
    name: str
    found: str
    ok: bool


class PartReport(msgspec.Struct, frozen=True):
    """All checks of a part."""

    part: str
    ok: bool
    checks: list[Check]


def report(part: str, checks: list[Check]) -> PartReport:
    """The report of a part, which fails without any check."""
    return PartReport(part, bool(checks) and all(check.ok for check in checks), checks)


def attempt(about: str, name: str, do: Callable[[], list[Check]]) -> list[Check]:
    """The checks that `do` returns, or a failed one if a server does not answer."""
    try:
        return do()
    except PyMongoError as error:
        said = str(mongodb.explain(error) or mongodb.reason(error))
    except (KafkaError, MillraceError, OSError) as error:
        said = str(error) or type(error).__name__
    return [Check(about, name, said.split("\n")[0], ok=False)]


def reached(server: str, ca_file: Path, name: str) -> list[Check]:
    """Whether a server (host:port) answers over TLS with a certificate of our CA."""

    def greet() -> list[Check]:
        return [Check(server, name, wire.trusted(server, ca_file, wire.version).text, ok=True)]

    return attempt(server, name, greet)
