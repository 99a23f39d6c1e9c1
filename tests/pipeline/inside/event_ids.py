"""The ids of all documents of each feed.

Usage: event_ids.py. Prints {feed: [event_id]}.
"""

import json

from millrace.clients.mongodb import client
from millrace.config import Settings
from millrace.feeds import FEEDS

settings = Settings()
with client(settings) as connection:
    database = connection[settings.mongodb_database]
    found = {
        name: [d["_id"] for d in database[FEEDS[name].collection].find({}, {"_id": 1})]
        for name in settings.feeds
    }
print(json.dumps(found))
