"""Replay: the real daily prices of some shares from 2000 to 2013, all of them, once.

The file is a CSV of Ticker, Date, Open, High, Low, Close, Volume, Adj Close. A row is observed at
the regular close of its day, 16:00 in New York, also on one of the few half-days: the file names no
time. Prices are as they were that day, not adjusted for splits.
"""

import csv
import gzip
import hashlib
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from pathlib import Path

from millrace.config import Settings
from millrace.errors import ConfigurationError
from millrace.feeds.minting import mint, second
from millrace.feeds.stocks import STOCKS, StockPrice
from millrace.sources.base import Batch
from millrace.sources.times import regular_close_of


class Replay:
    """The source: its one unit is the whole file, named by its content, so a new file is new."""

    feed = "stocks"
    shortest_interval = 0.0
    endless = False
    simulated = False
    budget_left = None

    def __init__(self, path: Path, symbols: Sequence[str]) -> None:
        self._path = path
        self._symbols = frozenset(symbols)
        content = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
        self.units: tuple[str, ...] = (f"{content} {','.join(sorted(symbols)) or 'all'}",)

    def fetch(self, unit: str) -> Batch:  # noqa: ARG002 - there is one unit
        """Every row of the chosen symbols, in the order of their time."""
        return self.between(date.min, date.max)

    def between(self, first: date, end: date) -> Batch:
        """The rows of the days from the first up to the end, with the ids that `fetch` gives."""
        events = [
            event
            for event in read(self._path, datetime.now(UTC))
            if not self._symbols or event.symbol in self._symbols
            # In UTC, too, an exchange closes on the day on which it opened.
            if first <= event.observed_at.date() < end
        ]
        return Batch(sorted(events, key=lambda event: event.observed_at), simulated=False)


def from_settings(settings: Settings) -> Replay:
    """The source as configured."""
    if not settings.replay_file.is_file():
        raise ConfigurationError(f"there is no file {settings.replay_file} to replay")
    return Replay(settings.replay_file, settings.producer_symbols)


def read(path: Path, now: datetime) -> Iterator[StockPrice]:
    """The file's rows as events, in the file's order."""
    with gzip.open(path, "rt", newline="") as file:
        for row in csv.DictReader(file):
            observed_at = regular_close_of(date.fromisoformat(row["Date"]))
            yield mint(
                STOCKS,
                "replay",
                row["Ticker"],
                second(observed_at),
                simulated=False,
                symbol=row["Ticker"],
                observed_at=observed_at,
                produced_at=now,
                open=float(row["Open"]),
                high=float(row["High"]),
                low=float(row["Low"]),
                price=float(row["Close"]),
                volume=int(row["Volume"]),
                currency="USD",
            )
