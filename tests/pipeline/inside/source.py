"""What this producer's source brings, published as the producer publishes it.

Usage: source.py RUN. Prints {"feed": name, "events": [event, ...]}.
"""

import json
import sys
import time
from pathlib import Path

import msgspec

from millrace.clients.kafka import producer
from millrace.config import Settings
from millrace.events import Event
from millrace.feeds import FEEDS
from millrace.sources import making

ENOUGH = 20
SECONDS = 20
BETWEEN_SECONDS = 1.5
"""Some upstreams take one request a second; some sources make more with time."""

# A state of its own: the allowance of the producer that runs here is left alone.
settings = Settings(producer_state_dir=Path(f"/tmp/source-{sys.argv[1]}"))
settings.producer_state_dir.mkdir()
source = making.make(settings)
events: list[Event] = []
deadline = time.monotonic() + SECONDS
while not events and time.monotonic() < deadline:
    for unit in source.units[:2]:
        time.sleep(BETWEEN_SECONDS)
        events += source.fetch(unit).events
events = events[:ENOUGH]
topic = FEEDS[source.feed].topic
client = producer(settings)
futures = [
    client.send(topic, key=event.symbol.encode(), value=msgspec.json.encode(event))
    for event in events
]
for future in futures:
    future.get(timeout=60)
client.close(timeout=10)
print(json.dumps({"feed": source.feed, "events": msgspec.to_builtins(events)}))
