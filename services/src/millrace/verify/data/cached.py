"""The latest values: each matches a stored document, and none is older than it must be."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from operator import not_
from typing import Any

from pymongo.collection import Collection
from redis import Redis
from redis.exceptions import RedisError

from millrace.clients import latest_values, mongodb, redis
from millrace.clients.latest_values import Latest
from millrace.feeds.base import TIME_FIELD, Feed
from millrace.runtime.chunks import chunks
from millrace.runtime.retry import wait_for
from millrace.verify.data.compare import Document, Tally

NAME = "latest values"
WAIT_SECONDS = 20.0
"""A value arrives within milliseconds, or after an outage at the next attempt to write it."""
POLL_SECONDS = 0.5
LIMIT_MILLISECONDS = 25_000
MOST = 10_000
"""Maximum number of symbols that are checked again."""


def compare(
    feed: Feed[Any],
    collection: Collection[dict[str, Any]],
    client: Redis,
    ttl: timedelta,
    wait: float = WAIT_SECONDS,
) -> Tally:
    """Compare the value of each symbol; one that differs is checked again for some time.

    Memory does not grow with the number of symbols: a few are compared at a time, and if very many
    differ, the rest is checked only once.
    """
    tally = Tally()
    waiting: dict[str, Document] = {}
    for page in chunks(mongodb.newest(collection, LIMIT_MILLISECONDS), mongodb.AT_ONCE):
        tally.records += len(page)
        different = _look(feed, page, collection, client, ttl)
        for document in page:
            text = different.get(document["symbol"])
            if text and len(waiting) < MOST:
                waiting[document["symbol"]] = document
            elif text:
                tally.differs(text)

    def look_again() -> dict[str, str]:
        """The remaining differences; a value that was right once is not checked again."""
        different = {
            symbol: text
            for page in chunks(waiting.values(), mongodb.AT_ONCE)
            for symbol, text in _look(feed, page, collection, client, ttl).items()
        }
        for symbol in waiting.keys() - different.keys():
            del waiting[symbol]
        return different

    for text in wait_for(look_again, not_, wait, POLL_SECONDS).values():
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
    *,
    is_full: bool,
) -> str | None:
    """The difference of a symbol's value, or None.

    `newest` was read before the value; `stored_then` are the documents of the value's own time. If
    Redis `is_full`, it may have evicted any value, or a part of it.
    """
    symbol, expected = newest["symbol"], latest_values.of(feed, newest)
    if is_full and (found is None or price is None):
        return None
    if found is None:
        expired = datetime.now(UTC) - newest["produced_at"] > expires_after
        return None if expired else f"{symbol} has no value in Redis"
    if found.ts_ms < expected.ts_ms:
        return f"{symbol} is {found.time} in Redis and {expected.time} in MongoDB"
    if found != expected and found not in [
        latest_values.of(feed, document) for document in stored_then
    ]:
        return f"{symbol} has a value in Redis that is not stored: {found.quote}"
    if price != found.price:
        return f"{symbol} has the price {found.price} in Redis, and {price} where it is alone"
    return None


def _look(
    feed: Feed[Any],
    newest: Sequence[Document],
    collection: Collection[dict[str, Any]],
    client: Redis,
    ttl: timedelta,
) -> dict[str, str]:
    try:
        values = redis.values(client, [document["symbol"] for document in newest])
        is_full = any(None in value for value in values) and redis.has_evicted(client)
    except RedisError as error:
        raise redis.explain(error) from error
    different = {}
    for document, (found, price) in zip(newest, values, strict=True):
        symbol = document["symbol"]
        then = {"symbol": symbol, TIME_FIELD: found.time} if found else None
        stored = collection.find(then, max_time_ms=LIMIT_MILLISECONDS) if then else ()
        text = difference(feed, document, found, price, stored, ttl, is_full=is_full)
        if text:
            different[symbol] = text
    return different
