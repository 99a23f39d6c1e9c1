"""Fills the topic with a number of events, the partitions unevenly."""

import itertools
import sys

from confluent_kafka import Producer
from events import stream
from servers import kafka_options

from millrace.feeds.stocks import STOCKS

SHARES = (0.3, 0.2, 0.5)


def main(count: int, compression: str) -> None:
    """Produce until all are acknowledged."""
    producer = Producer(
        kafka_options()
        | {
            "acks": "all",
            "enable.idempotence": True,
            "compression.type": compression,
            "linger.ms": 20,
        }
    )
    for partition, key, value in itertools.islice(stream("load", SHARES), count):
        while True:
            try:
                producer.produce(STOCKS.topic, value, key, partition)
            except BufferError:
                producer.poll(0.1)
            else:
                break
    left = producer.flush(60)
    if left:
        sys.exit(f"{left} events were not acknowledged")


main(int(sys.argv[1]), sys.argv[2])
