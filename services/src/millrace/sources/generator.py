"""Generator: simulated quotes at a steady rate, with prices in a geometric Brownian motion.

    S(t + dt) = S(t) * exp((mu - sigma^2 / 2) * dt + sigma * sqrt(dt) * Z)

with Z normally distributed and dt in years.

With the same seed, the n-th quote has the same symbol, price and volume in every run; its time is
n / rate after the start.
"""

import math
import random
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from millrace.config import Settings
from millrace.feeds.minting import mint
from millrace.feeds.quotes import QUOTES, Quote
from millrace.sources.base import SHORTEST_GAP, Batch, gap

SYMBOLS = ("AAPL", "AMZN", "GOOG", "IBM", "MSFT")
YEAR_SECONDS = 365 * 86_400
DRIFT, VOLATILITY = 0.05, 0.3
"""mu and sigma per year: those of a large share."""
LOWEST, HIGHEST = 50.0, 500.0
"""The range of initial prices."""
HALF_SPREAD = 0.0001
CENTS = 4
"""Decimals of a price."""


class Generator:
    """The source: each poll returns the quotes that have become due since the previous one.

    Quotes older than `longest_gap` seconds are left out.
    """

    feed = "quotes"
    units: tuple[str, ...] = ("quotes",)
    shortest_interval = 0.0
    endless = True
    simulated = True
    budget_left = None

    def __init__(
        self,
        symbols: Sequence[str],
        rate: float,
        seed: int,
        *,
        longest_gap: float = SHORTEST_GAP,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`rate` is the number of quotes of all symbols per second."""
        # Prices are not secret.
        self._chance = random.Random(seed)  # noqa: S311
        self._symbols = list(symbols or SYMBOLS)
        self._prices = {name: self._chance.uniform(LOWEST, HIGHEST) for name in self._symbols}
        self._moved = dict.fromkeys(self._symbols, 0)
        self._rate = rate
        self._longest_gap = longest_gap
        self._clock = clock
        self._start = clock()
        self._number = 0

    def pace(self, rate: float, interval: float) -> float:
        """Change the rate from the next quote on, and the longest gap with the interval."""
        self._start += self._number / self._rate - self._number / rate
        self._rate = rate
        self._longest_gap = gap(interval)
        return rate

    def fetch(self, unit: str) -> Batch:  # noqa: ARG002 - there is one unit
        """Return the quotes that are due."""
        now = self._clock()
        due = math.floor((now - self._start) * self._rate)
        if self._number - due > self._longest_gap * self._rate:
            # The clock was set back: the sequence continues from there, without waiting.
            self._start, due = now - self._number / self._rate, self._number
        skipped = due - self._number - math.floor(self._longest_gap * self._rate)
        if skipped > 0:
            self._start += skipped / self._rate
            due -= skipped
        produced_at = datetime.fromtimestamp(now, UTC)
        return Batch([self._next(produced_at) for _ in range(due - self._number)], simulated=True)

    def _next(self, produced_at: datetime) -> Quote:
        number, chance = self._number, self._chance
        self._number += 1
        symbol = chance.choice(self._symbols)
        years = (number - self._moved[symbol]) / self._rate / YEAR_SECONDS
        self._moved[symbol] = number
        drift = (DRIFT - VOLATILITY**2 / 2) * years
        self._prices[symbol] *= math.exp(drift + VOLATILITY * math.sqrt(years) * chance.gauss(0, 1))
        price = self._prices[symbol]
        milliseconds = math.floor((self._start + number / self._rate) * 1000)
        return mint(
            QUOTES,
            "generator",
            symbol,
            milliseconds,
            number,
            simulated=True,
            symbol=symbol,
            observed_at=datetime.fromtimestamp(milliseconds / 1000, UTC),
            produced_at=produced_at,
            price=round(price, CENTS),
            bid=round(price * (1 - HALF_SPREAD), CENTS),
            ask=round(price * (1 + HALF_SPREAD), CENTS),
            volume=100 * chance.randint(1, 50),
            currency="USD",
        )


def from_settings(settings: Settings) -> Generator:
    """The configured source."""
    return Generator(
        settings.producer_symbols,
        settings.producer_rate_per_second,
        settings.producer_seed,
        longest_gap=gap(settings.producer_interval_seconds),
    )
