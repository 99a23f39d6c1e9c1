"""Publishes a quote by a clock that is 55 minutes ahead, twice, and one by a clock that is right.

Prints by how many seconds each is stored before the time that it gave.
"""

import json
import sys
import time
from datetime import UTC, datetime, timedelta

import msgspec

from millrace.clients.kafka import producer
from millrace.clients.mongodb import client
from millrace.config import Settings
from millrace.feeds.minting import mint
from millrace.feeds.quotes import QUOTES

AHEAD = timedelta(minutes=55)
SECONDS = 30

settings = Settings()
now = datetime.now(UTC).replace(microsecond=0)
times = {
    f"{now.timestamp():.0f}/{name}": at for name, at in (("wrong", now + AHEAD), ("right", now))
}
sender = producer(settings)
for name in (*times, next(iter(times))):
    event = mint(
        QUOTES,
        "ahead-test",
        name,
        simulated=True,
        produced_at=times[name],
        symbol="AHEAD",
        observed_at=times[name],
        price=100.0,
        volume=1,
        currency="USD",
    )
    value = msgspec.json.encode(event)
    sender.send(QUOTES.topic, key=b"AHEAD", value=value).get(timeout=30)
sender.close(timeout=10)

deadline = time.monotonic() + SECONDS
with client(settings) as connection:
    collection = connection[settings.mongodb_database][QUOTES.collection]
    ids = [f"quotes:ahead-test:{name}" for name in times]
    while True:
        found = {d["_id"]: d for d in collection.find({"_id": {"$in": ids}})}
        if len(found) == len(ids) or time.monotonic() > deadline:
            break
        time.sleep(0.25)

stored = [found[name]["timestamp_utc"] for name in ids]
by = [at - then for at, then in zip(times.values(), stored, strict=True)]
claimed = [found[name].get("claimed_at") for name in ids]
if claimed != [now + AHEAD, None]:
    raise SystemExit(f"not as they were given: {claimed}")
sys.stdout.write(json.dumps([round(one.total_seconds()) for one in by]))
