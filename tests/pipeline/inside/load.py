"""A steady load of stock events with a ledger: what was attempted and what Kafka acknowledged.

Usage: load.py RUN EVENTS_PER_SECOND LONGEST. It ends after LONGEST seconds, or when the file
/tmp/stop-RUN is there. Prints one JSON line per event: {"event_id": ..., "acked": true|false}.
"""

import json
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from millrace.clients.kafka import producer
from millrace.config import Settings
from millrace.feeds.stocks import StockPrice

SYMBOLS = [f"LOAD{n}" for n in range(8)]


def event(run: str, number: int) -> StockPrice:
    """The number-th event: a deterministic sawtooth, so that some moves raise alerts."""
    symbol = f"{SYMBOLS[number % len(SYMBOLS)]}.{run}"
    observed_at = datetime(2024, 1, 1, tzinfo=UTC) + timedelta(minutes=number)
    price = 100.0 + (number // len(SYMBOLS)) % 17
    return StockPrice(
        event_id=f"stocks:load-test:{symbol}:{number}",
        schema_version=1,
        feed="stocks",
        source="load-test",
        simulated=True,
        symbol=symbol,
        observed_at=observed_at,
        produced_at=datetime.now(UTC),
        open=price,
        high=price + 1,
        low=price - 1,
        price=price,
        volume=number,
        currency="USD",
    )


def main() -> None:
    run, rate, longest = sys.argv[1], float(sys.argv[2]), float(sys.argv[3])
    stop = Path(f"/tmp/stop-{run}")
    encoder = msgspec.json.Encoder()
    client = producer(Settings(), max_block_ms=120_000)
    ledger = []
    start = time.monotonic()
    for number in range(int(rate * longest)):
        if number % rate == 0 and stop.exists():
            break
        delay = start + number / rate - time.monotonic()
        if delay > 0:
            time.sleep(delay)
        item = event(run, number)
        future = client.send("stock-data", key=item.symbol.encode(), value=encoder.encode(item))
        ledger.append((item.event_id, future))
    client.flush(timeout=120)
    for event_id, future in ledger:
        print(json.dumps({"event_id": event_id, "acked": future.succeeded()}))
    client.close(timeout=10)


main()
