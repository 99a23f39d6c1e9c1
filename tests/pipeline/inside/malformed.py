"""10,000 good stock events with 100 malformed records among them, spread evenly.

Usage: malformed.py RUN. Prints {"good": [event ids], "bad": [[key, value, headers]]}; bytes are
in base64.
"""

import base64
import json
import sys
from datetime import UTC, datetime, timedelta

import msgspec

from millrace.config import Settings
from millrace.feeds.stocks import StockPrice
from millrace.kafka import producer

GOOD, BAD = 10_000, 100


def good(run: str, number: int) -> StockPrice:
    symbol = f"GOOD{number % 5}.{run}"
    price = 50.0 + number % 3
    return StockPrice(
        event_id=f"stocks:malformed-test:{symbol}:{number}",
        schema_version=1,
        feed="stocks",
        source="malformed-test",
        simulated=True,
        symbol=symbol,
        observed_at=datetime(2024, 1, 1, tzinfo=UTC) + timedelta(minutes=number),
        produced_at=datetime.now(UTC),
        open=price,
        high=price,
        low=price,
        price=price,
        volume=number,
        currency="USD",
    )


def poison(valid: bytes, number: int) -> bytes | None:
    """Ten kinds of damage, in turn."""
    record = json.loads(valid)
    kinds: list[bytes | None] = [
        b"{not json",
        b"\xff\xfe" + valid,
        None,
        json.dumps({**record, "price": "12.5"}).encode(),
        json.dumps({**record, "schema_version": 99}).encode(),
        (b"[" * 2000) + (b"]" * 2000),
        json.dumps({**record, "$where": 1, "a.b": 2}).encode(),
        json.dumps({key: value for key, value in record.items() if key != "symbol"}).encode(),
        json.dumps({**record, "observed_at": "yesterday"}).encode(),
        valid[: len(valid) // 2],
    ]
    return kinds[number % len(kinds)]


def encoded(value: bytes | None) -> str | None:
    return None if value is None else base64.b64encode(value).decode()


def main() -> None:
    run = sys.argv[1]
    encoder = msgspec.json.Encoder()
    client = producer(Settings())
    ids, bad, futures = [], [], []
    for number in range(GOOD):
        item = good(run, number)
        value = encoder.encode(item)
        ids.append(item.event_id)
        futures.append(client.send("stock-data", key=item.symbol.encode(), value=value))
        if number % (GOOD // BAD) == 0:
            which = number // (GOOD // BAD)
            key = f"bad-{run}-{which}".encode()
            headers = [("trace", f"\x00{which}".encode())]
            broken = poison(value, which)
            futures.append(client.send("stock-data", key=key, value=broken, headers=headers))
            bad.append([encoded(key), encoded(broken), [[h, encoded(v)] for h, v in headers]])
    client.flush(timeout=60)
    for future in futures:
        future.get(timeout=10)
    client.close(timeout=10)
    print(json.dumps({"good": ids, "bad": bad}))


main()
