"""The stored prices of a feed.

Usage: prices.py FEED. Prints {event_id: [source, symbol, time, price]}.
"""

import json
import sys

from millrace.clients.mongodb import client
from millrace.config import Settings
from millrace.feeds import FEEDS
from millrace.feeds.base import TIME_FIELD

settings = Settings()
with client(settings) as connection:
    collection = connection[settings.mongodb_database][FEEDS[sys.argv[1]].collection]
    found = {
        d["_id"]: [d["source"], d["symbol"], d[TIME_FIELD].isoformat(), d["price"]["value"]]
        for d in collection.find({})
    }
print(json.dumps(found))
