"""`millrace verify access`: unauthorised access is refused with the right error."""

from millrace.config import Settings
from millrace.verify.access import attempts_api, attempts_kafka, attempts_mongodb, attempts_redis
from millrace.verify.access.attempts import AccessReport, Outcome, judge


def verify(settings: Settings) -> AccessReport:
    """Run all attempts on each port of each server."""
    outcomes: list[Outcome] = []
    for part in (attempts_kafka, attempts_mongodb, attempts_redis, attempts_api):
        with part.attempts(settings) as attempts:
            outcomes += [judge(attempt) for attempt in attempts]
    return AccessReport(ok=all(outcome.ok for outcome in outcomes), attempts=outcomes)
