"""The feeds agree: each is asked through its own source for the same times."""

from collections.abc import Sequence
from datetime import UTC, datetime
from statistics import fmean
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millrace.feeds import token_usage
from millrace.feeds.base import Meta
from millrace.feeds.quotes import Quote
from millrace.feeds.stocks import StockPrice
from millrace.feeds.token_usage import LATENESS
from millrace.invented import exchange, metals
from millrace.invented.gpus import GPUS, Gpu
from millrace.simulator import create_app
from millrace.sources.alpha_vantage import normalise
from millrace.sources.generator import SYMBOLS, Generator
from millrace.sources.http import SIMULATOR_KEY
from millrace.sources.workload import Workload, step_of

FRIDAY = datetime(2026, 1, 2, 18, tzinfo=UTC).timestamp()
REFRESH = 60.0
MINUTES = st.integers(0, 365 * 1440).map(lambda minute: FRIDAY + 60 * minute)
SHARED = ("AAPL", "AMZN", "GOOG", "IBM", "MSFT")


class Clock:
    """A time that is set."""

    def __init__(self) -> None:
        self.now = FRIDAY

    def __call__(self) -> float:
        return self.now


CLOCK = Clock()
SIMULATOR = create_app(REFRESH, CLOCK).test_client()


def stock(symbol: str, at: float) -> StockPrice:
    """What the source alpha_vantage makes of the simulator's answer."""
    CLOCK.now = at
    query = {"function": "GLOBAL_QUOTE", "symbol": symbol, "apikey": SIMULATOR_KEY}
    body = SIMULATOR.get("/query", query_string=query).get_json()
    now = datetime.fromtimestamp(at, UTC)
    batch = normalise(body["Global Quote"], symbol, now, lambda *_: now, simulated=True)
    (event,) = batch.events
    assert isinstance(event, StockPrice)
    return event


def quotes(symbol: str, since: float, count: int, rate: float = 1.0, seed: int = 1) -> list[Quote]:
    """Those that the source generator makes from a time on."""
    clock = Clock()
    clock.now = since
    source = Generator([symbol], rate, seed, longest_gap=1e9, clock=clock)
    clock.now += (count + 0.5) / rate
    found = [event for event in source.fetch("quotes").events if isinstance(event, Quote)]
    assert len(found) == count
    return found


@settings(max_examples=50)
@given(st.sampled_from(SHARED), MINUTES, st.integers(0, 9))
def test_a_share_has_one_price_whichever_feed_tells_it(symbol: str, at: float, seed: int) -> None:
    (quote,) = quotes(symbol, at, 1, seed=seed)
    assert quote.observed_at.timestamp() == at
    assert stock(symbol, at).price == quote.price


def test_the_shares_of_both_feeds_are_known_to_both() -> None:
    assert {*SHARED} == {*SYMBOLS}
    for symbol in SYMBOLS:
        assert stock(symbol, FRIDAY).symbol == symbol


@pytest.mark.parametrize(
    ("symbol", "day"), [("IBM", "2026-01-05T18:00+00:00"), ("AAPL", "2026-11-27T16:00+00:00")]
)
def test_a_day_is_that_of_its_quotes(symbol: str, day: str) -> None:
    """Range and volume, at the end of each half-hour, also of a half-day."""
    session = exchange.session(datetime.fromisoformat(day).timestamp())
    found = quotes(symbol, session.opens, int(session.closes - session.opens) // 10 + 1, rate=0.1)
    assert found[-1].observed_at.timestamp() == session.closes
    for number in range(0, len(found), 180):
        at, until = session.opens + 10 * number, found[: number + 1]
        day_so_far = stock(symbol, at)
        assert day_so_far.open == found[0].price
        assert day_so_far.low <= min(quote.price for quote in until)
        assert day_so_far.high >= max(quote.price for quote in until)
        assert day_so_far.volume == sum(quote.volume for quote in until)
    whole = stock(symbol, session.closes)
    width = whole.high - whole.low
    assert min(quote.price for quote in found) - whole.low < 0.1 * width
    assert whole.high - max(quote.price for quote in found) < 0.1 * width


@given(st.sampled_from(sorted(metals.USUAL)), MINUTES)
def test_a_metal_has_one_price_in_either_form(symbol: str, at: float) -> None:
    CLOCK.now = at
    query = {"access_key": SIMULATOR_KEY, "symbols": symbol}
    rates = SIMULATOR.get("/api/latest", query_string=query).get_json()["rates"]
    assert rates[f"USD{symbol}"] == metals.price(symbol, at)
    assert 1 / rates[symbol] == pytest.approx(metals.price(symbol, at), rel=1e-9)


def told(feed: str, step: float, since: float, seconds: float, gpu: Gpu) -> Sequence[Any]:
    """What the source workload says of a GPU after a time."""
    clock = Clock()
    clock.now = since
    source = Workload(feed, step, 1, "gpu-1", longest_gap=1e9, clock=clock)
    clock.now += seconds
    events: Sequence[Any] = source.fetch("workload").events
    return [
        event
        for event in events
        if event.gpu_index == gpu.index and event.observed_at.timestamp() > since
    ]


RATES = st.sampled_from([0.05, 0.5, 4.0])
ANY_GPU = st.sampled_from(GPUS)


@settings(max_examples=15)
@given(ANY_GPU, MINUTES, RATES)
def test_tokens_are_those_of_the_utilization(gpu: Gpu, at: float, rate: float) -> None:
    seconds = 120.0
    step = step_of("token_usage", rate, 0, len(GPUS))
    usage = told("token_usage", step, at, seconds, gpu)
    metrics = told("gpu_metrics", 1.0, at, seconds, gpu)
    assert {event.gpu_name for event in usage} == {event.name for event in metrics}
    used = sum(event.prompt_tokens + event.completion_tokens for event in usage)
    expected = gpu.most_tokens * seconds * fmean(one.utilization for one in metrics) / 100
    # Requests do not end when the time begins and ends; each number of tokens is rounded.
    request = gpu.most_tokens * step
    assert abs(used - expected) < request + len(usage) + 0.005 * gpu.most_tokens * seconds


@settings(max_examples=15)
@given(ANY_GPU, MINUTES)
def test_power_and_cost_are_those_of_the_utilization(gpu: Gpu, at: float) -> None:
    metrics = told("gpu_metrics", 1.0, at, 30.0, gpu)
    for one in metrics:
        watts = gpu.idle_watts + (gpu.most_watts - gpu.idle_watts) * one.utilization / 100
        assert one.power_w == pytest.approx(watts, abs=2)
    window = token_usage.history(LATENESS)
    meta: Meta = {}
    for event in told("token_usage", 0.5, at, 30.0, gpu):
        meta = token_usage.derive(event, window)
        window.add(event.observed_at, token_usage.value(event))
    load = fmean(one.utilization for one in metrics) / 100
    assert metrics[-1].price_per_hour_usd == meta["price_per_hour_usd"]
    expected = metrics[-1].price_per_hour_usd / 3600 / (gpu.most_tokens * load)
    assert meta["cost_per_token"] == pytest.approx(expected, rel=0.04)


def test_requests_are_of_different_sizes() -> None:
    sizes = [event.completion_tokens for event in told("token_usage", 0.5, FRIDAY, 60, GPUS[0])]
    assert max(sizes) > 2 * min(sizes)
    assert all(sizes)
