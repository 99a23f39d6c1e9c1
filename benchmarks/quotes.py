"""Invented quotes, 20 a second, as columns, and where in the log each of them is."""

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from millrace.feeds.quotes import QUOTES

POLL = 4000
"""Records that come at once, all of one partition."""
SYMBOLS = 99
INTERVAL = 50_000
"""Between two quotes, in microseconds."""
START = int(datetime(2026, 1, 5, tzinfo=UTC).timestamp() * 1_000_000)
TIME = pa.timestamp("us", "UTC")


def of(first: int, count: int) -> pa.Table:
    """The fields of so many quotes from a number."""
    numbers, chance = np.arange(first, first + count), np.random.default_rng(first)
    each = SYMBOLS // QUOTES.partitions
    symbols = numbers % each * QUOTES.partitions + partitions(numbers)
    names = pc.binary_join_element_wise("S", pc.utf8_lpad(_text(symbols), 2, "0"), "")
    prices = (20 + 3 * symbols + chance.normal(0, 0.5, count)).round(2)
    times = START + numbers * INTERVAL
    ids = ("quotes", "bench", names, pc.utf8_lpad(_text(numbers), 12, "0"))
    return pa.table(
        {
            "event_id": pc.binary_join_element_wise(*ids, ":"),
            "schema_version": np.ones(count, int),
            "feed": pa.repeat(QUOTES.name, count),
            "source": pa.repeat("bench", count),
            "simulated": pa.repeat(True, count),
            "symbol": names,
            "observed_at": pa.array(times, TIME),
            "produced_at": pa.array(times + 1500, TIME),
            "price": prices,
            "bid": (prices - 0.01).round(2),
            "ask": (prices + 0.01).round(2),
            "volume": chance.integers(1, 1000, count) * 100,
            "currency": pa.repeat("USD", count),
        }
    )


def partitions(numbers: np.ndarray) -> np.ndarray:
    """The partition of each: one poll is of one of them."""
    return numbers // POLL % QUOTES.partitions


def offsets(numbers: np.ndarray) -> np.ndarray:
    """The offset of each in its partition."""
    return numbers // (POLL * QUOTES.partitions) * POLL + numbers % POLL


def arrival(number: int) -> int:
    """When the broker takes a poll that ends before this number, in milliseconds since 1970."""
    return (START + number * INTERVAL) // 1000 + 500


def _text(numbers: np.ndarray) -> pa.Array:
    return pc.cast(pa.array(numbers), pa.string())
