"""Quotes in the order of their arrival, of which one in a hundred each is late, repeated or passed.

They are sent through the API, the same ones in each run but for the symbols and the time.

Usage: disturbed.py RUN. Prints {"sent": count, "disordered": count, "ids": [event ids], "newest":
{symbol: [time, price]}}.
"""

import json
import sys
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from random import Random

import requests

from millrace.config import Settings

COUNT, BATCH, SYMBOLS = 4000, 500, 5
settings = Settings()
run, random = sys.argv[1], Random(1)
start = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)


def quote(number: int) -> dict[str, object]:
    return {
        "symbol": f"{'ABCDE'[random.randrange(SYMBOLS)]}.{run}",
        "observed_at": (start + number * timedelta(milliseconds=50)).isoformat(),
        "event_id": f"{run}-{number}",
        "price": round(100 + random.random(), 4),
        "volume": number,
        "currency": "USD",
    }


def disturbed() -> list[dict[str, object]]:
    arrivals: list[tuple[float, int, dict[str, object]]] = []
    for number in range(COUNT):
        one, arrival, kind = quote(number), float(number), random.random()
        if kind < 0.01:
            arrival += random.uniform(50, 500)  # late
        elif kind < 0.02:
            arrivals.append((arrival + random.uniform(0, 500), number, one))  # repeated
        elif kind < 0.03:
            arrival += random.uniform(1.5, 4)  # passed by its neighbours
        arrivals.append((arrival, number, one))
    return [one for *_, one in sorted(arrivals, key=lambda entry: entry[:2])]


sent = disturbed()
ids = []
session = requests.Session()
session.verify = str(settings.kafka_ca_file)
session.headers["Authorization"] = f"Bearer {settings.api_ingest_token.get_secret_value()}"
for first in range(0, len(sent), BATCH):
    body = {"events": sent[first : first + BATCH]}
    answer = session.post(f"{settings.api_url}/v1/ingest/quotes", json=body, timeout=60)
    results = answer.json()["results"]
    assert answer.status_code == 202, results[:3]
    ids += [result["event_id"] for result in results]

times = [str(one["observed_at"]) for one in sent]
newest = {str(one["symbol"]): one for one in sorted(sent, key=lambda one: str(one["observed_at"]))}
print(
    json.dumps(
        {
            "sent": len(sent),
            "disordered": sum(after < before for before, after in pairwise(times)),
            "ids": ids,
            "newest": {s: [one["observed_at"], one["price"]] for s, one in newest.items()},
        }
    )
)
