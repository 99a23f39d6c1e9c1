"""What is made of the answers: positions, rates, prices and costs."""

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from services.tests.feeds.events import metal, stock

from millrace.clients.lag import PartitionLag
from millrace.feeds.metals import METALS
from millrace.feeds.stocks import STOCKS
from millrace.watch.snapshot import Cost, Position, Price, Rate, costs, positions, prices, rates

NOW = datetime(2026, 1, 2, 15, tzinfo=UTC)


def test_the_partitions_of_a_feed_are_added_up() -> None:
    behind = [PartitionLag("a", 0, 10, 4), PartitionLag("b", 0, 5, 0), PartitionLag("a", 1, 20, 1)]
    assert positions(behind, {"a": "first", "b": "second"}) == {
        "first": Position(30, 25),
        "second": Position(5, 5),
    }


def test_rates_are_what_moved_in_the_time() -> None:
    before = {"a": Position(100, 90)}
    after = {"a": Position(140, 140), "new": Position(10, 0)}
    assert rates(before, after, 2.0) == {"a": Rate(20.0, 25.0)}
    assert rates(before, after, 0.0) == {}


counts = st.integers(0, 10**9)
looks = st.dictionaries(st.sampled_from("abc"), st.builds(Position, counts, counts))


@given(looks, looks, st.floats(-1, 1e6))
def test_no_rate_is_negative(
    before: dict[str, Position], after: dict[str, Position], seconds: float
) -> None:
    for rate in rates(before, after, seconds).values():
        assert min(rate) >= 0


def test_prices_are_those_of_any_feed_that_has_some() -> None:
    gold, share = metal(2400.0), stock(99.5)
    found = prices("metals", [METALS.document(gold, {"change_pct_24h": -1.5, "unit": "ounce"})])
    found += prices("stocks", [STOCKS.document(share, {"change_pct": None})])
    assert found == [
        Price("metals", "XAU", 2400.0, "USD", -1.5, True, gold.observed_at),
        Price("stocks", "IBM", 99.5, "USD", None, False, share.observed_at),
    ]
    assert prices("weather", [{"symbol": "Oslo", "celsius": -3.0, "meta": {}}]) == []


def usage(model: str, cost: float | None, seconds: int = 0, **meta: Any) -> dict[str, Any]:
    return {
        "model": model,
        "timestamp_utc": NOW + timedelta(seconds=seconds),
        "meta": {"cost_per_token": cost, **meta},
    }


def test_the_newest_known_cost_of_each_model_counts() -> None:
    documents = [
        usage("small", 1e-6, 1),
        usage("large", 3e-6, tokens_per_second=120.0),
        usage("small", 2e-6, 5),
        usage("small", 9e-6, 3),
        usage("idle", None),
        usage("large", None, 9),
    ]
    assert costs(documents) == [
        Cost("large", 3e-6, 120.0, NOW),
        Cost("small", 2e-6, None, NOW + timedelta(seconds=5)),
    ]
