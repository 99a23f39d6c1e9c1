"""What is stored of GPUs and tokens, and what the API says of it.

Usage: gpus.py. Prints {"reference": {name: price}, "stored": {gpu: event id of its newest document
before the API was asked}, "info": [status, body], "sums": {by: {"start group": [events, prompt
tokens, completion tokens, hourly price]}} of the events before now, computed one by one, and
"costs": {by: [status, body]} of the same time}.
"""

import json
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any

import requests

from millrace.clients import mongodb
from millrace.config import Settings
from millrace.feeds.base import TIME_FIELD
from millrace.feeds.gpu_metrics import GPU_METRICS
from millrace.feeds.token_usage import TOKEN_USAGE

settings = Settings()
# Events of the last seconds may still be on their way.
until = datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=10)
since = until - timedelta(minutes=5)


def ask(path: str, **parameters: str) -> list[Any]:
    answer = requests.get(
        settings.api_url + path,
        params=parameters,
        headers={"Authorization": f"Bearer {settings.api_token.get_secret_value()}"},
        verify=str(settings.mongodb_ca_file),
        timeout=10,
    )
    return [answer.status_code, answer.json()]


def sums(documents: list[dict[str, Any]], by: str) -> dict[str, list[float]]:
    events: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for one in documents:
        one["gpu"] = f"{one['host']}/{one['gpu_index']}"
        start = one[TIME_FIELD].replace(second=0, microsecond=0)
        events[f"{start:%FT%TZ} {one[by]}"].append(one)
    return {
        name: [
            len(found),
            sum(one["prompt_tokens"] for one in found),
            sum(one["completion_tokens"] for one in found),
            sum({one["gpu"]: one["meta"]["price_per_hour_usd"] for one in found}.values()),
        ]
        for name, found in events.items()
    }


with mongodb.client(settings) as client:
    database = client[settings.mongodb_database]
    used = list(database[TOKEN_USAGE.collection].find({TIME_FIELD: {"$gte": since, "$lt": until}}))
    newest = [*mongodb.newest(database[GPU_METRICS.collection], 10_000)]
    bounds = {"from": since.isoformat(), "to": until.isoformat(), "bucket": "minute"}
    print(
        json.dumps(
            {
                "reference": {
                    one["name"]: one["price_per_hour_usd"] for one in database["gpus"].find()
                },
                "stored": {one["symbol"]: one[TIME_FIELD].isoformat() for one in newest},
                "info": ask("/gpu/info"),
                "sums": {by: sums(used, by) for by in ("model", "gpu", "host")},
                "costs": {
                    by: ask("/v1/token_usage/cost", by=by, **bounds)
                    for by in ("model", "gpu", "host")
                },
            }
        )
    )
