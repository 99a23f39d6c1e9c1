"""Generator: a steady rate, one story a seed, and what is quoted is what the market says."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millrace.feeds.quotes import QUOTES, Quote
from millrace.invented import exchange, shares
from millrace.processor.decode import decoder
from millrace.sources.generator import Generator

START = datetime(2026, 1, 2, 15, tzinfo=UTC).timestamp()
pauses = st.lists(st.floats(0.001, 5), min_size=1, max_size=20)


class World:
    """A generator, and a time that passes when it is told to."""

    def __init__(self, rate: float = 20, seed: int = 1, symbols: Sequence[str] = ()) -> None:
        self.now = START
        self.source = Generator(symbols, rate, seed, clock=lambda: self.now)

    def after(self, *pauses: float) -> list[Quote]:
        """What the polls bring that come after these pauses."""
        found: list[Quote] = []
        for pause in pauses:
            self.now += pause
            batch = self.source.fetch("quotes")
            assert batch.simulated
            found += batch.events  # type: ignore[arg-type]
        return found


def story(quotes: Sequence[Quote]) -> list[tuple[str, float, int]]:
    return [(quote.symbol, quote.price, quote.volume) for quote in quotes]


@given(pauses, st.sampled_from([0.5, 20.0, 333.0]))
def test_the_rate_is_kept_however_it_is_polled(pauses: list[float], rate: float) -> None:
    world = World(rate)
    quotes = world.after(*pauses)
    assert len(quotes) == math.floor((world.now - START) * rate)
    assert all(quote.observed_at.timestamp() <= world.now for quote in quotes)
    assert len({quote.event_id for quote in quotes}) == len(quotes)


def test_a_clock_that_is_set_back_silences_nothing() -> None:
    world = World(rate=20)
    before = world.after(*[1.0] * 60)
    after = world.after(-3600 + 1, *[1.0] * 60)
    assert len(after) >= 60 * 20 - 1
    assert all(abs(q.observed_at.timestamp() - q.produced_at.timestamp()) <= 10 for q in after)
    assert len({quote.event_id for quote in [*before, *after]}) == len(before) + len(after)


@given(pauses)
def test_a_seed_is_one_story_however_it_is_polled(pauses: list[float]) -> None:
    polled = World().after(*pauses)
    assert story(polled) == story(World().after(*[5] * 20))[: len(polled)]
    other = story(World(seed=2).after(*pauses))
    assert not polled or other != story(polled)


def test_the_story_of_a_seed_is_the_same_everywhere() -> None:
    quotes = World(seed=7).after(0.15)
    assert [(q.symbol, q.price, q.bid, q.ask, q.volume) for q in quotes] == [
        ("GOOG", 323.0026, 322.9703, 323.0349, 0),
        ("AMZN", 248.384, 248.3592, 248.4089, 92),
        ("IBM", 272.6433, 272.6161, 272.6706, 31),
    ]


def test_quotes_are_spread_over_the_second() -> None:
    times = [quote.observed_at.timestamp() for quote in World(rate=20).after(1)]
    assert [later - earlier for earlier, later in pairwise(times)] == pytest.approx(
        [0.05] * 19, abs=1e-5
    )


def test_after_an_outage_it_goes_on_with_what_is_recent() -> None:
    world = World(rate=20)
    world.after(1)
    quotes = world.after(3600)
    assert len(quotes) == 200
    assert quotes[0].observed_at.timestamp() >= world.now - 10.1
    assert len(world.after(1)) == 20


def test_a_clock_that_is_set_back_brings_nothing_twice() -> None:
    world = World()
    ids = {quote.event_id for quote in world.after(2, -1.5, 0.5, 1.5)}
    assert len(ids) == 50


@settings(max_examples=20)
@given(pauses, st.sampled_from([1, 2]))
def test_what_is_quoted_is_what_the_market_says(pauses: list[float], seed: int) -> None:
    """Whatever the seed, and the share."""
    for quote in World(seed=seed, symbols=["IBM", "X"]).after(*pauses):
        says = shares.quoted(quote.symbol, quote.observed_at.timestamp())
        assert (quote.price, quote.bid, quote.ask) == (says.price, says.bid, says.ask)


def test_what_is_traded_is_told_once() -> None:
    """From the evening before to the evening, when nothing is traded."""
    world = World(rate=0.1, symbols=["IBM"])
    session = exchange.session(START)
    world.now = session.opens - 3600
    world.source = Generator(["IBM"], 0.1, 1, longest_gap=86_400, clock=lambda: world.now)
    quotes = world.after(3600, *[1800] * 15)
    assert quotes[-1].observed_at.timestamp() > session.closes
    told = 0
    for quote in quotes:
        at = quote.observed_at.timestamp()
        told += quote.volume
        assert told == (shares.quoted("IBM", at).volume if at >= session.opens else 0)
        assert quote.volume or not session.opens + 60 < at < session.closes


def test_buyers_bid_less_than_sellers_ask() -> None:
    for quote in World().after(5):
        assert quote.bid is not None
        assert quote.ask is not None
        assert quote.bid < quote.price < quote.ask


def test_an_event_is_named_by_its_symbol_time_and_number() -> None:
    first, second = World(rate=2, symbols=["X"]).after(1)
    start = round(START * 1000)
    assert first.event_id == f"quotes:generator:X:{start}:0"
    assert second.event_id == f"quotes:generator:X:{start + 500}:1"
    assert (first.source, first.simulated, first.currency) == ("generator", True, "USD")
    assert first.produced_at.timestamp() == START + 1
    assert first.observed_at.timestamp() == START


def test_symbols_can_be_chosen() -> None:
    assert {quote.symbol for quote in World(symbols=["X", "Y"]).after(5)} == {"X", "Y"}


@given(pauses)
def test_the_processor_takes_every_quote(pauses: list[float]) -> None:
    decode = decoder(QUOTES)
    for quote in World(rate=50).after(*pauses):
        assert decode(msgspec.json.encode(quote)) == quote


@given(pauses, st.sampled_from([0.5, 20.0, 333.0]), st.sampled_from([0.5, 20.0, 333.0]))
def test_another_rate_holds_from_the_next_quote_on(
    pauses: list[float], before: float, after: float
) -> None:
    world = World(before)
    earlier = world.after(*pauses)
    world.source.pace(after, 0.25)
    first = world.after(2 / min(before, after) + 0.01)
    later = first + world.after(1, 1)
    quotes = earlier + later
    assert len({quote.event_id for quote in quotes}) == len(quotes)
    assert [q.observed_at for q in quotes] == sorted(q.observed_at for q in quotes)
    assert abs(len(later) - len(first) - 2 * after) <= 1


def test_the_same_rate_again_changes_nothing() -> None:
    world, other = World(), World()
    world.after(1.3)
    other.after(1.3)
    world.source.pace(20, 0.25)
    assert [q.event_id for q in world.after(2)] == [q.event_id for q in other.after(2)]


def test_a_longer_interval_bears_longer_gaps() -> None:
    world = World(rate=20)
    world.source.pace(20, 60)
    assert len(world.after(60)) == 1200
