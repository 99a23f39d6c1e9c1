"""The latest values, as the API reads them from Redis."""

import time
from collections.abc import Callable
from typing import TypeVar

from redis import Redis
from redis.exceptions import RedisError

from millrace.api.errors import DependencyError
from millrace.clients import redis
from millrace.clients.latest_values import Latest

Answer = TypeVar("Answer")

LIMIT_SECONDS = 0.5
PAUSE_SECONDS = 1.0
"""Time without requests to Redis after it did not answer, so that clients do not wait for it."""


class RedisCache:
    """The latest values in Redis."""

    def __init__(self, client: Redis, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._clock = clock
        self._failed_at = float("-inf")

    def get(self, symbol: str) -> Latest | None:
        """A symbol's value; None if there is none, DependencyError if Redis does not answer."""
        return self._ask(lambda: redis.value(self._client, symbol))

    def ping(self) -> None:
        """Return if Redis answers the API's user; otherwise raise DependencyError."""
        self._ask(self._client.ping)

    def _ask(self, question: Callable[[], Answer]) -> Answer:
        if self._clock() - self._failed_at < PAUSE_SECONDS:
            raise DependencyError("it did not answer a moment ago")
        try:
            return question()
        except RedisError as error:
            self._failed_at = self._clock()
            raise DependencyError(str(redis.explain(error))) from error
