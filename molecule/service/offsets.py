"""Prints how many records each topic holds, asked with the producer's own rights."""

import json
import sys

from kafka import TopicPartition

from millrace import config
from millrace.clients import kafka

TOPICS = ("metal-prices", "stock-data", "quotes")

client = kafka.consumer(config.load())
ends = client.end_offsets(
    [TopicPartition(topic, number) for topic in TOPICS for number in range(3)]
)
client.close()
counts = {topic: sum(end for part, end in ends.items() if part.topic == topic) for topic in TOPICS}
json.dump(counts, sys.stdout)
