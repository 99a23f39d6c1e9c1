"""`/live`, `/ready` and `/health`: whether the API runs, can answer, and the pipeline works."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from http import HTTPStatus
from typing import Any

import structlog
from flask import Blueprint, Response

from millrace.api.auth import is_authenticated, public
from millrace.api.cache import RedisCache
from millrace.api.dependencies import Dependencies
from millrace.api.errors import DependencyError
from millrace.api.events import answer
from millrace.clients.lag import PartitionLag
from millrace.clients.progress import Progress

log = structlog.get_logger(__name__)

FRESH_SECONDS = 1.0
"""How long answers are shared, so that health checks do not become a load."""
LONGEST_SECONDS = 5.0
"""How old an answer may be that somebody gets while another waits for a dependency; an older one
would call a dependency well that does not answer."""

OK, UNAVAILABLE = "ok", "unavailable"
SPARED = frozenset({"redis"})
"""Dependencies that are not needed for an overall good state."""
PROCESSOR = "processor"
"""The processor is not queried itself: Kafka knows its lag. The API works without it."""
STILL_SECONDS = 45.0
"""A partition with lag that stands still for so long counts as not processed."""
SHORT = {"mongodb": "mongodb_status", "redis": "redis_status"}
"""Fields with OK or FAIL in addition to the checks, for clients of earlier pipelines."""


class Health:
    """Queries the dependencies, at most once in FRESH_SECONDS."""

    def __init__(
        self, dependencies: Dependencies, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._dependencies = dependencies
        self._clock = clock
        self._lock = threading.Lock()
        self._asked_at = float("-inf")
        self._progress = Progress(clock)
        self._checks: Mapping[str, Mapping[str, Any]] = {}
        self._waits_for: str | None = None

    def checks(self) -> Mapping[str, Mapping[str, Any]]:
        """The state of each dependency and of the processor, with details."""
        # While one request waits for a dependency, others get the previous result: anyone may
        # request it, and every waiting request holds a thread.
        if self._lock.acquire(blocking=not self._checks):
            try:
                if self._clock() - self._asked_at > FRESH_SECONDS:
                    self._checks = self._ask()
                    self._asked_at = self._clock()
            finally:
                self._lock.release()
        elif self._clock() - self._asked_at > LONGEST_SECONDS:
            return {**self._checks, **self._overdue()}
        return self._checks

    def _overdue(self) -> Mapping[str, Mapping[str, Any]]:
        """What has not answered yet, and what only that one knows."""
        late = self._waits_for
        names = [late, PROCESSOR] if late == "kafka" else [late] if late else []
        return {name: {"status": UNAVAILABLE} for name in names}

    def _ask(self) -> Mapping[str, Mapping[str, Any]]:
        asked = {"mongodb": self._mongodb, "kafka": self._kafka}
        if cache := self._dependencies.cache():
            asked["redis"] = partial(self._redis, cache)
        checks = {name: self._check(name, ask) for name, ask in asked.items()}
        return checks | {PROCESSOR: self._processor(checks["kafka"])}

    def _mongodb(self) -> Mapping[str, Any]:
        self._dependencies.ask_mongodb()
        return {}

    def _kafka(self) -> Mapping[str, Any]:
        partitions, dead_letters = self._dependencies.ask_kafka()
        return {
            "lag": sum(p.lag for p in partitions),
            "partitions": list(partitions),
            "dead_letters": dead_letters,
        }

    def _processor(self, kafka: Mapping[str, Any]) -> Mapping[str, Any]:
        if kafka["status"] != OK:
            return {"status": UNAVAILABLE}
        partitions: Sequence[PartitionLag] = kafka["partitions"]
        self._progress.look(
            {(p.topic, p.partition): (p.end - p.lag, p.end) for p in partitions},
            [(p.topic, p.partition) for p in partitions if not p.held],
        )
        problem = self._progress.problem(STILL_SECONDS)
        return {"status": UNAVAILABLE, "problem": problem} if problem else {"status": OK}

    @staticmethod
    def _redis(cache: RedisCache) -> Mapping[str, Any]:
        cache.ping()
        return {}

    def _check(self, name: str, ask: Callable[[], Mapping[str, Any]]) -> Mapping[str, Any]:
        start = self._clock()
        self._waits_for = name
        try:
            found = ask()
        except DependencyError as error:
            log.warning("dependency does not answer", dependency=name, reason=str(error))
            return {"status": UNAVAILABLE}
        finally:
            self._waits_for = None
        return {
            "status": OK,
            "latency_ms": round(1000 * (self._clock() - start), 3),
            **found,
        }


def blueprint(health: Health) -> Blueprint:
    """The health routes. Without a token they show one word per dependency."""
    routes = Blueprint("health", __name__)

    @routes.get("/live")
    @public
    def live() -> Response:
        return answer({"status": OK})

    @routes.get("/ready")
    @public
    def ready() -> Response:
        return state(health.checks(), SPARED | {PROCESSOR})

    @routes.get("/health")
    @public
    def well() -> Response:
        return state(health.checks(), SPARED)

    def state(checks: Mapping[str, Mapping[str, Any]], spared: frozenset[str]) -> Response:
        answers = {name: check["status"] == OK for name, check in checks.items()}
        well = all(answers[name] for name in answers.keys() - spared)
        short = {SHORT[n]: "OK" if answers[n] else "FAIL" for n in SHORT.keys() & answers.keys()}
        if not is_authenticated():
            checks = {name: {"status": check["status"]} for name, check in checks.items()}
        return answer(
            {"status": OK if well else UNAVAILABLE, "checks": checks, **short},
            HTTPStatus.OK if well else HTTPStatus.SERVICE_UNAVAILABLE,
        )

    return routes
