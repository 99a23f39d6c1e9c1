"""A share's day looks like one of a market, and is the same whoever asks."""

import math
from datetime import UTC, date, datetime
from itertools import pairwise
from statistics import fmean, pstdev

from hypothesis import given, settings
from hypothesis import strategies as st

from millrace.invented import exchange, shares

MONDAY = datetime(2026, 1, 5, 18, tzinfo=UTC).timestamp()
WEEKS = 6
TIMES = st.floats(MONDAY, MONDAY + 365 * 86_400)
SYMBOLS = st.sampled_from([*shares.SHARES, "OTHER"])


def sessions() -> list[exchange.Session]:
    first = exchange.session(MONDAY)
    times = [MONDAY + 86_400 * n for n in range(7 * WEEKS)]
    found = dict.fromkeys(exchange.session(at) for at in times)
    assert len(found) == 5 * WEEKS
    assert first in found
    return [*found]


def by_half_hour(symbol: str) -> tuple[list[float], list[float]]:
    """The volatility of a minute, and the volume, in each half-hour of a session."""
    moves: list[list[float]] = [[] for _ in range(13)]
    volumes: list[list[int]] = [[] for _ in range(13)]
    for session in sessions():
        minutes = [shares.quoted(symbol, session.opens + 60 * n) for n in range(391)]
        for minute, (before, after) in enumerate(pairwise(minutes)):
            moves[minute // 30].append(math.log(after.price / before.price))
            volumes[minute // 30].append(after.volume - before.volume)
    return [pstdev(some) for some in moves], [fmean(some) for some in volumes]


def test_a_day_is_busiest_after_the_opening_and_before_the_close() -> None:
    volatility, volume = by_half_hour("MSFT")
    for halves in (volatility, volume):
        middle = min(halves[4:9])
        assert middle == min(halves)
        assert halves[0] > 1.5 * middle
        assert halves[-1] > 1.3 * middle
        assert halves[0] > halves[1] > halves[2] > halves[4]
        assert halves[-1] > halves[-2] > halves[-4]
    assert volatility[0] > volatility[-1], "most moves after the night"
    assert volume[-1] > volume[0], "most is traded before the close"


def test_the_volume_of_a_minute_is_irregular() -> None:
    session = exchange.session(MONDAY)
    totals = [shares.quoted("MSFT", session.opens + 60 * n).volume for n in range(120, 271)]
    minutes = [after - before for before, after in pairwise(totals)]
    assert pstdev(minutes) > 0.2 * fmean(minutes)


def test_a_share_moves_in_a_day_as_much_as_a_large_one_does() -> None:
    days = [shares.day("MSFT", session.closes) for session in sessions()]
    overnight = [math.log(day.open / day.previous_close) for day in days]
    whole = [math.log(day.price / day.previous_close) for day in days]
    assert 0.012 < pstdev(whole) < 0.025
    assert 0.004 < pstdev(overnight) < 0.7 * pstdev(whole)


@given(SYMBOLS, TIMES)
def test_while_the_exchange_is_closed_nothing_happens(symbol: str, at: float) -> None:
    session = exchange.session(at)
    quoted, close = shares.quoted(symbol, at), shares.quoted(symbol, session.closes)
    if at >= session.closes:
        assert quoted == close
    else:
        assert quoted.volume <= close.volume
        assert (quoted.ask - quoted.bid) / quoted.price < 0.0003
    assert (close.ask - close.bid) / close.price > 0.0015
    assert quoted.bid < quoted.price < quoted.ask


@given(SYMBOLS, TIMES)
@settings(max_examples=30)
def test_a_day_is_what_was_quoted_in_it(symbol: str, at: float) -> None:
    session = exchange.session(at)
    day, quoted = shares.day(symbol, at), shares.quoted(symbol, at)
    assert (day.day, day.price, day.volume) == (session.day, quoted.price, quoted.volume)
    assert day.open == shares.quoted(symbol, session.opens).price
    assert day.previous_close == shares.quoted(symbol, session.opens - 1).price
    ended = min(at, session.closes)
    for part in range(50):
        then = shares.quoted(symbol, session.opens + part / 50 * (ended - session.opens))
        assert day.low <= then.price <= day.high
        assert then.volume <= day.volume


def test_each_share_has_a_price_and_a_volume_of_its_own() -> None:
    for symbol, usual in shares.SHARES.items():
        day = shares.day(symbol, MONDAY + 7200)
        assert 0.6 < day.price / usual.price < 1.6
        assert 0.3 < day.volume / usual.volume < 2
    others = {symbol: shares.usual(symbol).price for symbol in ("X", "Y", "Z")}
    assert len({*others.values()}) == 3
    assert all(shares.LOWEST <= price <= shares.HIGHEST for price in others.values())


def test_a_share_costs_what_it_did() -> None:
    """After an upgrade, a day in the log and the same day asked for again would not agree."""
    assert shares.day("IBM", MONDAY) == shares.Day(
        date(2026, 1, 5), 270.0335, 270.4476, 265.5649, 266.2562, 1_603_653, 267.7885
    )
    assert shares.quoted("OTHER", MONDAY) == (305.4754, 305.4449, 305.506, 14_615, 3_213_371)
