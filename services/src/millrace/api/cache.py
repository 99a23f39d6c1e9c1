"""The latest values, as the API reads them from Redis."""

import time
from collections.abc import Callable
from typing import Any

from redis.exceptions import RedisError

from millrace.api.ports import DependencyError
from millrace.cache import explain
from millrace.latest import PRICE, QUOTE, TIME, Latest, quote_key

LIMIT_SECONDS = 0.5
PAUSE_SECONDS = 1.0
"""Redis that did not answer is left alone for so long: no request waits for it meanwhile."""


class RedisCache:
    """See ports.Cache."""

    def __init__(self, client: Any, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._clock = clock
        self._failed_at = float("-inf")

    def get(self, symbol: str) -> Latest | None:
        """See ports.Cache."""
        found = self._ask(lambda: self._client.hmget(quote_key(symbol), TIME, PRICE, QUOTE))
        ts_ms, price, quote = found
        return None if ts_ms is None else Latest(symbol, int(ts_ms), price, quote)

    def ping(self) -> None:
        """See ports.Cache."""
        self._ask(self._client.ping)

    def _ask(self, question: Callable[[], Any]) -> Any:
        if self._clock() - self._failed_at < PAUSE_SECONDS:
            raise DependencyError("it did not answer a moment ago")
        try:
            return question()
        except RedisError as error:
            self._failed_at = self._clock()
            raise DependencyError(str(explain(error))) from error
