"""Batches of stock events through the API, with a ledger: what was answered for each.

Usage: ingest.py RUN LONGEST. It ends after LONGEST seconds, or when the file /tmp/stop-RUN is
there. Prints one JSON line per request: {"status": HTTP status, "accepted": [event ids]}.
"""

import json
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import requests

from millrace.config import Settings

BATCH = 20
PAUSE_SECONDS = 0.1


def item(run: str, number: int) -> dict[str, object]:
    price = 100.0 + number % 17
    return {
        "symbol": f"SENT{number % 8}.{run}",
        "observed_at": (datetime(2024, 1, 1, tzinfo=UTC) + timedelta(minutes=number)).isoformat(),
        "event_id": f"{run}-{number}",
        **dict.fromkeys(("open", "high", "low", "price"), price),
        "volume": number,
        "currency": "USD",
    }


def main() -> None:
    run, longest = sys.argv[1], float(sys.argv[2])
    settings = Settings()
    session = requests.Session()
    session.verify = str(settings.kafka_ca_file)
    session.headers["Authorization"] = f"Bearer {settings.api_ingest_token.get_secret_value()}"
    stop = Path(f"/tmp/stop-{run}")
    end = time.monotonic() + longest
    number = 0
    while time.monotonic() < end and not stop.exists():
        body = {"events": [item(run, number + n) for n in range(BATCH)]}
        number += BATCH
        answer = session.post(f"{settings.api_url}/v1/ingest/stocks", json=body, timeout=60)
        results = answer.json().get("results", [])
        accepted = [r["event_id"] for r in results if r["status"] == "accepted"]
        print(json.dumps({"status": answer.status_code, "accepted": accepted}))
        time.sleep(PAUSE_SECONDS)


main()
