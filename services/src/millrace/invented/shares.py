"""Invented shares: what one costs at a time, and how many were traded.

The logarithm of a price is a Brownian motion in the time of the exchange, which passes fastest
after the opening and before the close. Overnight it jumps. While the exchange is closed, the price
is that of the close, nothing is traded, and bid and ask are far apart.
"""

import math
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from itertools import accumulate, pairwise
from typing import NamedTuple

from millrace.invented import exchange, noise, path

LOWEST, HIGHEST = 50.0, 500.0
"""The range of the usual prices of shares that are not listed here."""
HALF_SPREAD, HALF_SPREAD_CLOSED = 0.0001, 0.001
"""How far bid and ask are from the price, as a fraction of it."""
OVERNIGHT = 0.2
"""The part of a day's variance that is its opening's jump."""
SHARPNESS = 6
"""How near to its ends a session is busy: the power of the distance from the other end."""
IRREGULARITY = 0.4
"""Standard deviation of the logarithm of what is traded in a minute."""
MINUTE = 60.0
_DECIMALS = 4


@dataclass(frozen=True)
class Share:
    """What a share usually costs, in US dollars, and how many are usually traded in a day."""

    price: float
    volume: float


SHARES = {
    "AAPL": Share(232.0, 48e6),
    "AMZN": Share(228.0, 38e6),
    "GOOG": Share(310.0, 21e6),
    "IBM": Share(285.0, 4e6),
    "MSFT": Share(480.0, 19e6),
    "NVDA": Share(190.0, 170e6),
}
OTHER_VOLUME = 10e6


@dataclass(frozen=True)
class Busyness:
    """How something is spread over a session: evenly, and at its ends; the parts add up to 1."""

    even: float
    early: float
    late: float

    def until(self, elapsed: float) -> float:
        """The part that is over when this part of the session is over; both are 0 to 1."""
        begun = 1 - (1 - elapsed) ** SHARPNESS
        return self.even * elapsed + self.early * begun + self.late * elapsed**SHARPNESS


VARIANCE = Busyness(0.5, 0.35, 0.15)
TRADE = Busyness(0.5, 0.2, 0.3)


class Quoted(NamedTuple):
    """A share at a time."""

    price: float
    bid: float
    ask: float
    session: int
    volume: int
    """Traded in the session until then."""


class Day(NamedTuple):
    """The day of a share until a time."""

    day: date
    open: float
    high: float
    low: float
    price: float
    volume: int
    previous_close: float


def quoted(symbol: str, at: float) -> Quoted:
    """The share at a time (seconds since 1970)."""
    session = exchange.session(at)
    share = usual(symbol)
    elapsed = session.elapsed(at)
    price = share.price * math.exp(path.at(symbol, _days(session, elapsed)))
    spread = price * (HALF_SPREAD if elapsed < 1 else HALF_SPREAD_CLOSED)
    return Quoted(
        round(price, _DECIMALS),
        round(price - spread, _DECIMALS),
        round(price + spread, _DECIMALS),
        session.number,
        _volume(symbol, session, elapsed),
    )


def day(symbol: str, at: float) -> Day:
    """The day of the last trade before a time (seconds since 1970)."""
    session = exchange.session(at)
    share = usual(symbol)
    elapsed = session.elapsed(at)
    opening, latest = _days(session, 0), _days(session, elapsed)
    low, high = path.extremes(symbol, opening, latest)
    prices = (
        round(share.price * math.exp(value), _DECIMALS)
        for value in (
            path.at(symbol, opening),
            high,
            low,
            path.at(symbol, latest),
            path.at(symbol, session.number),
        )
    )
    first, highest, lowest, last, previous = prices
    volume = _volume(symbol, session, elapsed)
    return Day(session.day, first, highest, lowest, last, volume, previous)


def usual(symbol: str) -> Share:
    """What the share usually costs, and how many are traded."""
    return SHARES.get(symbol) or _other(symbol)


@lru_cache(1024)
def _other(symbol: str) -> Share:
    place = (noise.at(f"{symbol}/usual", 0) + 1) / 2
    return Share(LOWEST + place * (HIGHEST - LOWEST), OTHER_VOLUME)


def _days(session: exchange.Session, elapsed: float) -> float:
    """Days of trading; a night takes as long as its part of the variance."""
    return session.number + OVERNIGHT + (1 - OVERNIGHT) * VARIANCE.until(elapsed)


def _volume(symbol: str, session: exchange.Session, elapsed: float) -> int:
    """How many were traded when this part of the session was over."""
    totals = _totals(symbol, session)
    place = elapsed * (len(totals) - 2)
    minute = int(place)
    return int(totals[minute] + (place - minute) * (totals[minute + 1] - totals[minute]))


@lru_cache(64)
def _totals(symbol: str, session: exchange.Session) -> list[float]:
    """How many were traded after each minute of a session, and after one more."""
    name = f"{symbol}/volume/{session.number}"
    minutes = round((session.closes - session.opens) / MINUTE)
    whole = usual(symbol).volume * math.exp(noise.at(name, 0) / 2)
    factors = [
        math.exp(IRREGULARITY * value)
        for part in range(math.ceil(minutes / 8))
        for value in noise.normals(f"{name}/{part}")
    ]
    until = [TRADE.until(minute / minutes) for minute in range(minutes + 1)]
    trades = [
        whole * factor * (after - before)
        for factor, (before, after) in zip(factors, pairwise(until), strict=False)
    ]
    return [*accumulate(trades, initial=0.0), sum(trades)]
