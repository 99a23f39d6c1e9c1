"""The latest values: what is stored, what differs in Redis, what the API answers.

Usage: latest_values.py. Prints {"stored": count of quotes, "symbols": count, "different": [texts],
or null if Redis does not answer, "health": [status, body], "prices": {symbol: [status, body]}}.
"""

import json
from contextlib import closing
from datetime import timedelta
from typing import Any

import requests

from millrace import cache, mongo
from millrace.config import Settings
from millrace.errors import MillraceError
from millrace.feeds.quotes import QUOTES
from millrace.verify import latest

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


with mongo.client(settings) as client, closing(cache.client(settings)) as redis:
    collection = client[settings.mongodb_database][QUOTES.collection]
    symbols = sorted(d["symbol"] for d in mongo.newest(collection, None, 10_000))
    different: list[str] | None
    try:
        different = latest.compare(QUOTES, collection, redis, ttl, wait=1.0).examples
    except MillraceError:
        different = None
    found = {
        "stored": collection.count_documents({}),
        "symbols": len(symbols),
        "different": different,
        "health": ask("/health"),
        "prices": {symbol: ask(f"/market_data/last_price/{symbol}") for symbol in symbols},
    }
print(json.dumps(found))
