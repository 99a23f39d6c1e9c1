"""The routes for the latest value of a symbol: from Redis, otherwise from MongoDB."""

import time
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any, NamedTuple

import msgspec
import structlog
from flask import Blueprint, Response, request

from millrace.api.auth import READ, scope
from millrace.api.dependencies import Dependencies
from millrace.api.errors import DependencyError
from millrace.api.events import answer, ask
from millrace.api.problems import Problem, bad_request
from millrace.clients import latest_values
from millrace.clients.latest_values import Latest
from millrace.events import CLOCKS
from millrace.feeds.base import Feed

log = structlog.get_logger(__name__)

CACHE, STORE = "cache", "store"


class Found(NamedTuple):
    """A value and its origin."""

    value: Latest
    origin: str


def blueprint(
    feeds: Iterable[Feed[Any]],
    dependencies: Dependencies,
    stale_seconds: float,
    clock: Callable[[], float] = time.time,
) -> Blueprint:
    """The routes for the feed whose latest values Redis keeps, if it is served."""
    routes = Blueprint("latest", __name__, url_prefix="/market_data")
    feed = next((feed for feed in feeds if feed.is_cached), None)

    # A symbol may contain slashes.
    @routes.get("/last_price/<path:symbol>")
    @scope(READ)
    def last_price(symbol: str) -> Response:
        found = find(symbol)
        return fresh(
            found,
            {
                "symbol": symbol,
                # The unchanged digits of the stored price.
                "price": msgspec.Raw(found.value.price.encode()),
                "timestamp": found.value.time,
                "simulated": msgspec.json.decode(found.value.quote)["simulated"],
            },
        )

    @routes.get("/last_quote/<path:symbol>")
    @scope(READ)
    def last_quote(symbol: str) -> Response:
        found = find(symbol)
        return fresh(found, {"quote": msgspec.Raw(found.value.quote.encode())})

    def find(symbol: str) -> Found:
        if request.args:
            raise bad_request("This route has no query parameters.")
        found = _find(feed, symbol, dependencies) if feed else None
        if found is None:
            raise Problem(HTTPStatus.NOT_FOUND, "No quote of this symbol is known.")
        return found

    def fresh(found: Found, own: dict[str, Any]) -> Response:
        age_ms = age(found.value.ts_ms, clock())
        stale = age_ms is None or age_ms > 1000 * stale_seconds
        body = {**own, "age_ms": age_ms, "stale": stale, "from": found.origin}
        return answer(body)

    return routes


def age(ts_ms: int, now: float) -> int | None:
    """The age of a value in milliseconds; None if its time is further ahead than clocks may differ.

    In this case a clock is wrong, and the age is unknown.
    """
    ahead_ms = ts_ms - int(1000 * now)
    return None if ahead_ms > 1000 * CLOCKS.total_seconds() else max(0, -ahead_ms)


def _find(feed: Feed[Any], symbol: str, dependencies: Dependencies) -> Found | None:
    """Read from MongoDB what Redis lacks, because it expired or is still being restored."""
    cache = dependencies.cache()
    if cache is not None:
        try:
            value = cache.get(symbol)
        except DependencyError as error:
            log.warning("answering from the store", reason=str(error))
        else:
            if value is not None:
                return Found(value, CACHE)
    document = ask(lambda: dependencies.store().newest(feed.collection, symbol))
    return None if document is None else Found(latest_values.of(feed, document), STORE)
