"""A stream that is left in the middle and taken up again while events are sent.

Usage: stream.py RUN. Prints {"sent": [event ids], "seen": [[event id, symbol, number]]}.
"""

import json
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import requests

from millrace.config import Settings

BEFORE, READ, AFTER = 50, 20, 50
LONGEST_SECONDS = 60.0
LINGER_SECONDS = 5.0
"""How long to go on when all is seen: what comes twice would come then."""

settings = Settings()
run = sys.argv[1]


def ask(token: str, method: str, path: str, **options: Any) -> requests.Response:
    headers = {"Authorization": f"Bearer {token}", **options.pop("headers", {})}
    answer = requests.request(
        method,
        f"{settings.api_url}{path}",
        headers=headers,
        verify=str(settings.kafka_ca_file),
        timeout=(5, 30),
        **options,
    )
    answer.raise_for_status()
    return answer


def send(first: int, count: int) -> list[str]:
    """The ids of so many new events."""
    start = datetime(2024, 1, 1, tzinfo=UTC)
    items = [
        {
            "symbol": f"STREAM{number % 6}.{run}",
            "observed_at": (start + timedelta(minutes=number)).isoformat(),
            **dict.fromkeys(("open", "high", "low", "price"), 100.0),
            "volume": number,
            "currency": "USD",
        }
        for number in range(first, first + count)
    ]
    token = settings.api_ingest_token.get_secret_value()
    answer = ask(token, "POST", "/v1/ingest/stocks", json={"events": items})
    return [result["event_id"] for result in answer.json()["results"]]


def connect(last: str | None = None) -> requests.Response:
    headers = {} if last is None else {"Last-Event-ID": last}
    token = settings.api_token.get_secret_value()
    return ask(token, "GET", "/v1/stocks/stream", headers=headers, stream=True)


def blocks(answer: requests.Response) -> Iterator[dict[str, str]]:
    block: dict[str, str] = {}
    for line in answer.iter_lines(chunk_size=None):
        if line:
            name, _, value = line.decode().partition(": ")
            block[name] = value
        else:
            yield block
            block = {}


seen: list[tuple[str, str, int]] = []


def note(block: dict[str, str]) -> None:
    if "data" in block:
        event = json.loads(block["data"])
        if event["symbol"].endswith(run):
            seen.append((event["event_id"], event["symbol"], event["volume"]))


first = connect()
found = blocks(first)
last = next(found)["id"]
sent = send(0, BEFORE)
while len(seen) < READ:
    block = next(found)
    note(block)
    last = block["id"]
first.close()
sent += send(BEFORE, AFTER)
second = connect(last)
end = time.monotonic() + LONGEST_SECONDS
for block in blocks(second):
    note(block)
    if len(seen) >= len(sent):
        end = min(end, time.monotonic() + LINGER_SECONDS)
    if time.monotonic() > end:
        break
second.close()
print(json.dumps({"sent": sent, "seen": seen}))
