"""3000 records in one partition that are no events: more than the breaker lets through.

Usage: bad_stream.py. Prints how many were sent.
"""

from millrace.clients.kafka import producer
from millrace.config import Settings

BAD = 3000


def main() -> None:
    client = producer(Settings())
    futures = [client.send("stock-data", value=b"no event", partition=0) for _ in range(BAD)]
    for future in futures:
        future.get(timeout=30)
    client.close(timeout=10)
    print(len(futures))


main()
