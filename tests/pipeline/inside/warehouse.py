"""What readers of the warehouse find.

Usage: warehouse.py. Prints {"events": {feed: [event_id]}, "latest": {feed: {event_id: price}}}.
"""

import json

import duckdb

from millrace.config import Settings
from millrace.warehouse.landing import STAGED

with duckdb.connect(Settings().warehouse_file, read_only=True) as connection:
    events = {
        feed: [
            event
            for (event,) in connection.execute(
                f"select event_id from staging.stg_{feed}"
            ).fetchall()
        ]
        for feed in STAGED
    }
    latest: dict[str, dict[str, float]] = {}
    for feed, event, price in connection.execute(
        "select feed, event_id, price from latest_prices"
    ).fetchall():
        latest.setdefault(feed, {})[event] = price
print(json.dumps({"events": events, "latest": latest}))
