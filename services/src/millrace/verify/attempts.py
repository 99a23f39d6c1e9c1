"""`millrace verify access`: who has no right to come in is refused, with the right error.

Any other error fails: a server that is down refuses nobody.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec
import structlog

from millrace.config import Settings
from millrace.verify.wire import Answer

log = structlog.get_logger(__name__)


class Attempt(NamedTuple):
    """Something to try, and what has to come of it."""

    server: str
    name: str
    expected: str
    do: Callable[[], Answer]


class Outcome(msgspec.Struct, frozen=True):
    """What came of it."""

    server: str
    name: str
    expected: str
    found: str
    ok: bool


class AccessReport(msgspec.Struct, frozen=True):
    """Every attempt."""

    ok: bool
    attempts: list[Outcome]


def verify(settings: Settings) -> AccessReport:
    """Try everything, on each port of each server."""
    from millrace.verify import attempts_api, attempts_kafka, attempts_mongodb

    outcomes: list[Outcome] = []
    for part in (attempts_kafka, attempts_mongodb, attempts_api):
        with part.attempts(settings) as attempts:
            outcomes += [judge(attempt) for attempt in attempts]
    return AccessReport(ok=all(outcome.ok for outcome in outcomes), attempts=outcomes)


def judge(attempt: Attempt) -> Outcome:
    """Do it, and compare what comes of it with what has to."""
    try:
        answer = attempt.do()
    except Exception as error:
        found, ok = f"{type(error).__name__}: {error}".split("\n")[0], False
    else:
        ok = answer.kind == attempt.expected
        found = answer.text if ok else f"{answer.kind}: {answer.text}"
    return Outcome(attempt.server, attempt.name, attempt.expected, found, ok)


def expect(kinds: dict[Any, str], error: Exception, key: Any, text: str) -> Answer:
    """The refusal that an error is, or the error itself if it is none."""
    if key not in kinds:
        raise error
    return Answer(kinds[key], text)
