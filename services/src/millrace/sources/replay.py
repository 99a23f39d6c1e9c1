"""Replay: real daily prices of some shares from 2000 to 2013, all of them, once.

The file is a CSV of Ticker, Date, Open, High, Low, Close, Volume, Adj Close. A row is observed at
the regular close of its day, 16:00 in New York, even on the few half-days, because the file has no
times. Prices are those of the day, not adjusted for splits. Other files with these columns are read
in the common forms of CSV; a row without a price, or with impossible values, is reported with its
line, and does not affect others.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path

import structlog

from millrace.config import Settings, about
from millrace.errors import ConfigurationError
from millrace.events import is_ahead
from millrace.feeds.minting import Refused, mint, second
from millrace.feeds.stocks import STOCKS, StockPrice
from millrace.parsing import scalars
from millrace.runtime.redaction import shown
from millrace.sources import tables
from millrace.sources.base import Batch, Permanent, Rejected
from millrace.sources.tables import NoTable, Row
from millrace.sources.times import regular_close_of

log = structlog.get_logger(__name__)

COLUMNS = ("Ticker", "Date", "Open", "High", "Low", "Close", "Volume")
"""The columns that are read; there may be others."""
PRICES = {"open": "Open", "high": "High", "low": "Low", "price": "Close"}
FIELDS = {**PRICES, "event_id": "Ticker", "symbol": "Ticker", "volume": "Volume"}
"""The columns of an event's fields."""

SLACK = 0.01
"""How far the open and close may be outside of low and high, as a fraction of the high, or in
dollars if that is more: providers round, and take the close from another print. A price that is
adjusted for a split is further off."""

Wanted = Callable[[str, date], bool]


class Replay:
    """The source: its only unit is the file, named by its content, so that a new file is new."""

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
        """All rows of the chosen symbols, in the order of their times."""
        try:
            batch = self.between(date.min, date.max)
        except NoTable as error:
            raise Permanent(str(error)) from None
        without = self._symbols - {event.symbol for event in batch.events}
        if without or not (batch.events or batch.rejected):
            symbols = ",".join(sorted(without)) or "all"
            log.warning("no row to replay", file=str(self._path), symbols=symbols)
        return batch

    def between(self, first: date, end: date) -> Batch:
        """The rows of the days from `first` up to `end`, exclusive, with the ids of `fetch`.

        For a row without a symbol or a day it is not known whether it is one of them.
        """

        def wanted(symbol: str, day: date) -> bool:
            return first <= day < end and (not self._symbols or symbol in self._symbols)

        events: list[StockPrice] = []
        rejected: list[Rejected] = []
        for one in rows(self._path, datetime.now(UTC), wanted):
            if isinstance(one, Rejected):
                rejected.append(one)
            else:
                events.append(one)
        events.sort(key=lambda event: event.observed_at)
        return Batch(events, simulated=False, rejected=rejected)


def from_settings(settings: Settings) -> Replay:
    """The configured source."""
    file = settings.replay_file
    with about("replay_file"):
        try:
            if not file.is_file():
                raise ConfigurationError(f"there is no file {file} to replay")
            return Replay(file, settings.producer_symbols)
        except OSError as error:
            raise ConfigurationError(f"cannot read {file}: {error.strerror}") from None


def read(path: Path, now: datetime) -> Iterator[StockPrice]:
    """The valid rows of the file, as events, in the file's order."""
    for one in rows(path, now, lambda *_: True):
        if not isinstance(one, Rejected):
            yield one


def rows(path: Path, now: datetime, wanted: Wanted) -> Iterator[StockPrice | Rejected]:
    """Each row of a wanted symbol and day, or why it is invalid; NoTable if there are no rows."""
    lines: dict[tuple[str, date], int] = {}
    for row in tables.read(path, COLUMNS):
        where = f"{path.name}, line {row.line}"
        try:
            symbol, day = row.read("Ticker", scalars.name), row.read("Date", scalars.day)
            if not wanted(symbol, day):
                continue
            if before := lines.get((symbol, day)):
                raise ValueError(f"it is about {symbol} on {day}, as line {before} is")
            event = _event(row, symbol, day, now)
        except ValueError as error:
            yield Rejected(where, shown(error))
        else:
            lines[symbol, day] = row.line
            yield event


def _event(row: Row, symbol: str, day: date, now: datetime) -> StockPrice:
    observed_at = regular_close_of(day)
    fields = {field: row.read(name, _number) for field, name in PRICES.items()}
    try:
        event = mint(
            STOCKS,
            "replay",
            symbol,
            second(observed_at),
            simulated=False,
            symbol=symbol,
            observed_at=observed_at,
            produced_at=now,
            volume=row.read("Volume", partial(_number, whole=True)),
            currency="USD",
            **fields,
        )
    except Refused as error:
        text = str(error)
        for field, name in FIELDS.items():
            text = text.replace(f"`$.{field}`", f"`{name}`")
        raise ValueError(text) from None
    if is_ahead(event, STOCKS.ahead):
        raise ValueError(f"`Date` is {day}, and today is {now:%Y-%m-%d}")
    slack = SLACK * max(1.0, event.high)
    for name, price in (("Open", event.open), ("Close", event.price)):
        if not event.low - slack <= price <= event.high + slack:
            raise ValueError(
                f"`{name}` is {price:g}, outside of what the day traded at, {event.low:g} to"
                f" {event.high:g}: is one column adjusted for splits, and another not?"
            )
    return event


def _number(text: str, *, whole: bool = False) -> float:
    if scalars.is_missing(text):
        raise ValueError(f"is {text}: every row needs a number here")
    number: float = scalars.number(text, whole=whole)
    return number
