"""10,000 good stock events in every codec, and among them 100 malformed records of every feed.

Usage: malformed.py RUN. Prints {"good": [event ids], "bad": [[key, value, headers, topic]]}; bytes
are in base64.
"""

import base64
import json
import sys
from datetime import UTC, datetime, timedelta

import msgspec

from millrace.clients.kafka import producer
from millrace.config import Settings
from millrace.events import Event
from millrace.feeds import FEEDS
from millrace.feeds.stocks import StockPrice

GOOD, BAD = 10_000, 100
CODECS = None, "gzip", "snappy", "lz4", "zstd"


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


GPU = {"host": "bad", "gpu_index": 0}
OWN = {
    "metals": {"currency": "USD", "unit": "troy_ounce", "metal_name": "Gold", "price": 2000.0},
    "stocks": {
        "currency": "USD",
        "volume": 1,
        **dict.fromkeys(("open", "high", "low", "price"), 50.0),
    },
    "quotes": {"currency": "USD", "volume": 1, "price": 50.0},
    "gpu_metrics": {
        **GPU,
        "symbol": "bad/0",
        "name": "A100 40GB",
        **dict.fromkeys(("utilization", "mem_used_mb", "mem_total_mb", "power_w", "temp_c"), 50.0),
    },
    "token_usage": {
        **GPU,
        "symbol": "bad/0/bad",
        "model": "bad",
        "prompt_tokens": 1,
        "completion_tokens": 1,
    },
}
"""The fields of an event of each feed, beside the envelope; the last is a number."""


def valid(feed: str, run: str, number: int) -> dict[str, object]:
    """An event that only damage keeps from being stored."""
    envelope = msgspec.to_builtins(good(run, number))
    mine = {name: envelope[name] for name in Event.__struct_fields__}
    found = {**mine, "feed": feed, "event_id": f"{feed}:malformed-test:{run}:{number}", **OWN[feed]}
    msgspec.convert(found, FEEDS[feed].event_type, strict=True)
    return found


def poison(record: dict[str, object], number: int) -> bytes | None:
    """Ten kinds of damage, in turn."""
    valid = json.dumps(record).encode()
    amount = [*OWN[str(record["feed"])]][-1]
    kinds: list[bytes | None] = [
        b"{not json",
        b"\xff\xfe" + valid,
        None,
        json.dumps({**record, amount: "12.5"}).encode(),
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
    clients = [producer(Settings(), compression_type=kind) for kind in CODECS]
    ids, bad, futures = [], [], []
    for number in range(GOOD):
        item = good(run, number)
        value = encoder.encode(item)
        ids.append(item.event_id)
        client = clients[number % len(clients)]
        futures.append(client.send("stock-data", key=item.symbol.encode(), value=value))
        if number % (GOOD // BAD) == 0:
            which = number // (GOOD // BAD)
            feed = [*OWN][which % len(OWN)]
            topic = FEEDS[feed].topic
            key = f"bad-{run}-{which}".encode()
            headers = [("trace", f"\x00{which}".encode())]
            broken = poison(valid(feed, run, number), which // len(OWN))
            futures.append(client.send(topic, key=key, value=broken, headers=headers))
            shown = [[h, encoded(v)] for h, v in headers]
            bad.append([encoded(key), encoded(broken), shown, topic])
    for client in clients:
        client.flush(timeout=60)
    for future in futures:
        future.get(timeout=10)
    for client in clients:
        client.close(timeout=10)
    print(json.dumps({"good": ids, "bad": bad}))


main()
