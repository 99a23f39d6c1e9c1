"""The latest values: each is what is stored, and none is older than what was stored before."""

import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import redis
from pymongo.collection import Collection
from redis.exceptions import RedisError

from millrace import cache, latest, mongo
from millrace.feeds.base import TIME_FIELD, Feed
from millrace.latest import Latest
from millrace.verify.compare import Document, Tally

NAME = "latest values"
WAIT_SECONDS = 20.0
"""A value is on its way for milliseconds; after an outage, until the next attempt to write it."""
POLL_SECONDS = 0.5
LIMIT_MILLISECONDS = 60_000


def compare(
    feed: Feed[Any],
    collection: Collection[dict[str, Any]],
    client: redis.Redis,
    ttl: timedelta,
    wait: float = WAIT_SECONDS,
) -> Tally:
    """Compare the value of each symbol; one that differs is looked at again for some time."""
    deadline = time.monotonic() + wait
    waiting = {d["symbol"]: d for d in mongo.newest(collection, None, LIMIT_MILLISECONDS)}
    tally = Tally(records=len(waiting))
    while True:
        different = _look(feed, waiting, collection, client, ttl)
        if not different or time.monotonic() > deadline:
            break
        waiting = {symbol: waiting[symbol] for symbol in different}
        time.sleep(POLL_SECONDS)
    for text in different.values():
        tally.differs(text)
    tally.stored = tally.records - tally.differences
    return tally


def difference(
    feed: Feed[Any],
    newest: Document,
    found: Latest | None,
    price: str | None,
    stored_then: Iterable[Document],
    expires_after: timedelta,
) -> str | None:
    """What is wrong with a symbol's value, or None.

    `newest` was read before the value; `stored_then` are the documents of the value's own time.
    """
    symbol, expected = newest["symbol"], latest.of(feed, newest)
    if found is None:
        expired = datetime.now(UTC) - newest["produced_at"] > expires_after
        return None if expired else f"{symbol} has no value in Redis"
    if found.ts_ms < expected.ts_ms:
        return f"{symbol} is {found.time} in Redis and {expected.time} in MongoDB"
    if found not in [latest.of(feed, document) for document in stored_then]:
        return f"{symbol} has a value in Redis that is not stored: {found.quote}"
    if price != found.price:
        return f"{symbol} has the price {found.price} in Redis, and {price} where it is alone"
    return None


def _look(
    feed: Feed[Any],
    newest: Mapping[str, Document],
    collection: Collection[dict[str, Any]],
    client: redis.Redis,
    ttl: timedelta,
) -> dict[str, str]:
    different = {}
    for symbol, document in newest.items():
        try:
            found = cache.value(client, symbol)
            price = cache.price(client, symbol)
        except RedisError as error:
            raise cache.explain(error) from error
        then = {"symbol": symbol, TIME_FIELD: found.time} if found else None
        stored = collection.find(then) if then else ()
        text = difference(feed, document, found, price, stored, ttl)
        if text:
            different[symbol] = text
    return different
