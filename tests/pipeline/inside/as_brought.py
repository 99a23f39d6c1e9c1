"""Waits until events are stored, and says which differ from what their source brought.

What is derived is in `meta`, and `millrace verify` compares it; the rest is the event's own.

Usage: as_brought.py FEED EVENTS. Prints {"stored": count, "different": [texts]}.
"""

import json
import sys
import time
from typing import Any

import bson
import msgspec

from millrace.clients.mongodb import AS_STORED, client
from millrace.config import Settings
from millrace.feeds import FEEDS

SECONDS = 60
# The same observation may have been polled by the producer itself, at another time.
BY_CHANCE = ("produced_at", "kafka")

feed = FEEDS[sys.argv[1]]
events = {
    event.event_id: event for event in msgspec.json.decode(sys.argv[2], type=list[feed.event_type])
}
settings = Settings()
deadline = time.monotonic() + SECONDS
with client(settings) as connection:
    collection = connection[settings.mongodb_database][feed.collection]
    while True:
        found = {d["_id"]: d for d in collection.find({"_id": {"$in": list(events)}})}
        if len(found) == len(events) or time.monotonic() > deadline:
            break
        time.sleep(0.25)


def comparable(document: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name not in BY_CHANCE}


different = [f"{event_id} is not stored" for event_id in events.keys() - found.keys()]
for event_id, document in found.items():
    own = {"_id": event_id, **feed.document(events[event_id], document["meta"])}
    brought = bson.decode(bson.encode(own), AS_STORED)
    if comparable(brought) != comparable(document):
        different.append(f"{document} is not {brought}")
print(json.dumps({"stored": len(found), "different": different}))
