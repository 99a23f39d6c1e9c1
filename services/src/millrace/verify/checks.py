"""Something that has to be so, and what was found. A part of the pipeline is verified by many."""

from collections.abc import Callable
from pathlib import Path

import msgspec
from kafka.errors import KafkaError
from pymongo.errors import PyMongoError

from millrace.clients import mongodb
from millrace.errors import MillraceError
from millrace.verify.access import wire


class Check(msgspec.Struct, frozen=True):
    """One of them: about what, what was found, and whether it is as it has to be."""

    about: str
    name: str
    found: str
    ok: bool


class PartReport(msgspec.Struct, frozen=True):
    """Every check of a part."""

    part: str
    ok: bool
    checks: list[Check]


def report(part: str, checks: list[Check]) -> PartReport:
    """The report of a part: no check at all is no proof."""
    return PartReport(part, bool(checks) and all(check.ok for check in checks), checks)


def attempt(about: str, name: str, do: Callable[[], list[Check]]) -> list[Check]:
    """The checks that this makes; who does not answer is one that failed."""
    try:
        return do()
    except PyMongoError as error:
        said = str(mongodb.explain(error) or mongodb.reason(error))
    except (KafkaError, MillraceError, OSError) as error:
        said = str(error) or type(error).__name__
    return [Check(about, name, said.split("\n")[0], ok=False)]


def reached(server: str, ca_file: Path, name: str) -> list[Check]:
    """Whether a server (host:port) answers over TLS, with a certificate of our authority."""

    def greet() -> list[Check]:
        return [Check(server, name, wire.trusted(server, ca_file, wire.version).text, ok=True)]

    return attempt(server, name, greet)
