"""Produces events at a steady rate and measures how long each takes until it is stored.

Stored means acknowledged by a majority: that is when a change stream shows it.
"""

import json
import sys
import threading
import time
from datetime import UTC, datetime

from confluent_kafka import Producer
from events import stream
from servers import collection, kafka_options

from millrace.feeds.stocks import STOCKS

SHARES = (0.3, 0.2, 0.5)
WARM_UP_SECONDS = 3


def produce(rate: int, count: int, source: str) -> None:
    """Send one by one, at their time, without waiting for company."""
    producer = Producer(kafka_options() | {"acks": "all", "linger.ms": 0})
    start = time.perf_counter()
    events = stream(source, SHARES)
    for number in range(count):
        time.sleep(max(0.0, start + number / rate - time.perf_counter()))
        partition, key, value = next(events)
        producer.produce(STOCKS.topic, value, key, partition)
        producer.poll(0)
    producer.flush(30)


def main(rate: int, seconds: int) -> None:
    """Print the percentiles in milliseconds."""
    count = rate * (seconds + WARM_UP_SECONDS)
    source = f"latency-{time.time():.0f}"
    delays = []
    with collection().watch(
        [{"$match": {"fullDocument.source": source}}, {"$project": {"fullDocument.produced_at": 1}}]
    ) as changes:
        sender = threading.Thread(target=produce, args=(rate, count, source))
        sender.start()
        for change in changes:
            produced_at = change["fullDocument"]["produced_at"]
            if isinstance(produced_at, str):  # a peer stores what it was sent
                produced_at = datetime.fromisoformat(produced_at)
            delays.append((datetime.now(UTC) - produced_at).total_seconds())
            if len(delays) == count:
                break
        sender.join()
    delays = sorted(delays[rate * WARM_UP_SECONDS :])
    print(
        json.dumps(
            {
                "events": len(delays),
                "p50": 1000 * delays[len(delays) // 2],
                "p99": 1000 * delays[len(delays) * 99 // 100],
            }
        )
    )


main(int(sys.argv[1]), int(sys.argv[2]))
