"""The rows of the archive.

Usage: archived.py. Prints {feed: [event_id]}, and ends with an error if two rows are of one record.
"""

import json
import sys

from millrace.archive import catalog
from millrace.config import Settings

POSITION = ("kafka_log", "kafka_partition", "kafka_offset")
settings = Settings()
tables = catalog.opened(settings)
found = {}
for name in settings.feeds:
    table = tables.load_table((catalog.namespace(settings), name))
    rows = table.scan(selected_fields=("event_id", *POSITION)).to_arrow()
    if rows.select(POSITION).group_by(POSITION).aggregate([]).num_rows != rows.num_rows:
        sys.exit(f"{name}: a record is there more than once")
    found[name] = rows.column("event_id").to_pylist()
print(json.dumps(found))
