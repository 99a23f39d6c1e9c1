"""The latest values: what is stored, what differs in Redis, what the API answers.

Usage: latest_values.py. Prints {"stored": count of quotes, "symbols": count, "different": [texts],
or null if Redis does not answer, "lives": {key: ms left}, "ttl_ms": ms, "health": [status, body],
"prices": {symbol: [status, body, the stored prices of the time that the body names]}}.
"""

import json
from contextlib import closing
from datetime import datetime, timedelta
from typing import Any

import requests

from millrace.clients import mongodb, redis
from millrace.clients.latest_values import price_key, quote_key
from millrace.config import Settings
from millrace.errors import MillraceError
from millrace.feeds.base import TIME_FIELD
from millrace.feeds.quotes import QUOTES
from millrace.verify.data import cached

settings = Settings()
ttl = timedelta(seconds=settings.redis_ttl_seconds)


def ask(path: str) -> list[Any]:
    answer = requests.get(
        settings.api_url + path,
        headers={"Authorization": f"Bearer {settings.api_token.get_secret_value()}"},
        verify=str(settings.mongodb_ca_file),
        timeout=10,
    )
    return [answer.status_code, answer.json()]


def price(collection: Any, symbol: str) -> list[Any]:
    status, body = ask(f"/market_data/last_price/{symbol}")
    if status != 200:
        return [status, body, []]
    then = {"symbol": symbol, TIME_FIELD: datetime.fromisoformat(body["timestamp"])}
    return [status, body, [found["price"]["value"] for found in collection.find(then)]]


with mongodb.client(settings) as client, closing(redis.client(settings)) as connection:
    collection = client[settings.mongodb_database][QUOTES.collection]
    symbols = sorted(d["symbol"] for d in mongodb.newest(collection, 10_000))
    different: list[str] | None
    lives: dict[str, int] = {}
    try:
        different = cached.compare(QUOTES, collection, connection, ttl, wait=1.0).examples
        keys = [key(symbol) for symbol in symbols for key in (price_key, quote_key)]
        lives = {key: connection.pttl(key) for key in keys if connection.exists(key)}
    except MillraceError:
        different = None
    found = {
        "stored": collection.count_documents({}),
        "symbols": len(symbols),
        "different": different,
        "lives": lives,
        "ttl_ms": 1000 * settings.redis_ttl_seconds,
        "health": ask("/health"),
        "prices": {symbol: price(collection, symbol) for symbol in symbols},
    }
print(json.dumps(found))
