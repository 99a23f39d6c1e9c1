"""Generator: simulated quotes of shares at a steady rate, with the prices of the invented market.

With the same seed, the n-th quote is of the same share in every run; its time is n / rate after the
start. What it says depends on the share and the time only (`invented/shares.py`): the volume is
what was traded in the session since the share's previous quote.
"""

import math
import random
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from millrace.config import Settings
from millrace.feeds.minting import mint
from millrace.feeds.quotes import QUOTES, Quote
from millrace.invented import shares
from millrace.sources.base import SHORTEST_GAP, Batch, gap

SYMBOLS = ("AAPL", "AMZN", "GOOG", "IBM", "MSFT")


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
        # The order of shares is not secret.
        self._chance = random.Random(seed)  # noqa: S311
        self._symbols = list(symbols or SYMBOLS)
        self._rate = rate
        self._longest_gap = longest_gap
        self._clock = clock
        self._start = clock()
        self._number = 0
        self._latest = {name: shares.quoted(name, self._start) for name in self._symbols}

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
        number = self._number
        self._number += 1
        symbol = self._chance.choice(self._symbols)
        milliseconds = math.floor((self._start + number / self._rate) * 1000)
        before, now = self._latest[symbol], shares.quoted(symbol, milliseconds / 1000)
        self._latest[symbol] = now
        told = before.volume if before.session == now.session else 0
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
            price=now.price,
            bid=now.bid,
            ask=now.ask,
            # Less has been traded where the clock was set back.
            volume=max(now.volume - told, 0),
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
