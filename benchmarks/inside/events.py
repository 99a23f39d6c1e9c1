"""Invented stock events: a random walk a second, and now and then a jump that raises an alert."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import msgspec

from millrace.feeds.stocks import StockPrice

START = datetime(2026, 1, 5, 14, 30, tzinfo=UTC)
SYMBOLS_A_PARTITION = 10
JUMPS = 1 / 10_000
ENCODE = msgspec.json.Encoder().encode


class Walk:
    """One symbol's prices, a second apart."""

    def __init__(self, symbol: str, source: str, chance: random.Random) -> None:
        self._symbol = symbol
        self._source = source
        self._chance = chance
        self._price = 100.0
        self._time = START

    def step(self) -> StockPrice:
        """The next event."""
        chance = self._chance
        before = self._price
        move = 0.06 if chance.random() < JUMPS else chance.gauss(0, 0.0005)
        price = self._price = round(min(max(before * (1 + move), 1.0), 1000.0), 4)
        self._time += timedelta(seconds=1)
        return StockPrice(
            event_id=f"stocks:{self._source}:{self._symbol}:{self._time:%Y-%m-%dT%H:%M:%SZ}",
            schema_version=1,
            feed="stocks",
            source=self._source,
            simulated=True,
            symbol=self._symbol,
            observed_at=self._time,
            produced_at=datetime.now(UTC),
            open=before,
            high=max(before, price),
            low=min(before, price),
            price=price,
            volume=chance.randrange(100, 10_000),
            currency="USD",
        )


def stream(source: str, shares: tuple[float, ...]) -> Iterator[tuple[int, bytes, bytes]]:
    """Endless (partition, key, value), the partitions filled by their shares."""
    chance = random.Random(source)
    walks = [
        [Walk(f"S{partition}{n:02}", source, chance) for n in range(SYMBOLS_A_PARTITION)]
        for partition in range(len(shares))
    ]
    while True:
        for partition in chance.choices(range(len(shares)), shares, k=1000):
            event = chance.choice(walks[partition]).step()
            yield partition, event.symbol.encode(), ENCODE(event)
