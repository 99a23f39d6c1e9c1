"""Every record of the dead letter topic, bytes in base64.

Usage: dead_letters.py. Prints [[key, value, {header: value}]].
"""

import base64
import json

from kafka.structs import TopicPartition

from millrace.clients.kafka import consumer
from millrace.config import Settings


def encoded(value: bytes | None) -> str | None:
    return None if value is None else base64.b64encode(value).decode()


settings = Settings()
client = consumer(settings, group_id=None)
partition = TopicPartition(settings.dead_letters_topic, 0)
client.assign([partition])
client.seek_to_beginning(partition)
end = client.end_offsets([partition])[partition]
records = []
while client.position(partition) < end:
    for batch in client.poll(timeout_ms=1000).values():
        records.extend(
            [encoded(r.key), encoded(r.value), {h: encoded(v) for h, v in r.headers}] for r in batch
        )
client.close()
print(json.dumps(records))
