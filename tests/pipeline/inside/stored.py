"""How often each event of a source is stored.

Usage: stored.py SOURCE [COLLECTION]. Prints {event_id: count} for the documents of that source.
"""

import json
import sys
from collections import Counter

from millrace.clients.mongodb import client
from millrace.config import Settings

settings = Settings()
with client(settings) as connection:
    name = sys.argv[2] if len(sys.argv) > 2 else "stock_data"
    collection = connection[settings.mongodb_database][name]
    found = Counter(d["_id"] for d in collection.find({"source": sys.argv[1]}, {"_id": 1}))
print(json.dumps(found))
