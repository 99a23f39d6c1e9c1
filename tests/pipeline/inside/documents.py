"""What is stored once everything in Kafka is, but for where in Kafka it was.

Usage: documents.py. Prints {feed: {event_id: digest}}.
"""

import hashlib
import json

import bson

from millrace.clients.mongodb import client
from millrace.config import Settings
from millrace.feeds import FEEDS
from millrace.verify.data.log import Log
from millrace.verify.data.stored import wait_for_group


def digest(document: dict) -> str:
    del document["kafka"]
    return hashlib.sha256(bson.encode(dict(sorted(document.items())))).hexdigest()[:16]


settings = Settings()
with Log(settings, lambda *_: "") as log:
    wait_for_group(settings, log.partitions([FEEDS[name].topic for name in settings.feeds]))
with client(settings) as connection:
    database = connection[settings.mongodb_database]
    found = {
        name: {one["_id"]: digest(one) for one in database[FEEDS[name].collection].find()}
        for name in settings.feeds
    }
print(json.dumps(found))
