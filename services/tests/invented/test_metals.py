"""Metals: ids are made of symbol and time alone, so that their prices must stay what they were."""

import pytest

from millrace.invented import metals

TIME = 1_767_366_000


def test_a_metal_costs_what_it_did() -> None:
    """An id that says something else after an upgrade would be a conflict."""
    assert {symbol: metals.price(symbol, TIME) for symbol in metals.USUAL} == {
        "XAU": 4100.6236,
        "XAG": 51.9921,
        "XPT": 1572.7987,
        "XPD": 1431.9455,
    }


@pytest.mark.parametrize("symbol", metals.USUAL)
def test_a_metal_stays_near_its_usual_price_and_moves_each_minute(symbol: str) -> None:
    prices = [metals.price(symbol, TIME + 86_400 * day) for day in range(365)]
    assert all(0.85 < price / metals.USUAL[symbol] < 1.15 for price in prices)
    assert max(prices) > 1.05 * min(prices)
    minutes = [metals.price(symbol, TIME + 60 * minute) for minute in range(60)]
    assert len({*minutes}) > 50
    assert max(minutes) < 1.02 * min(minutes)
