"""Feed quotes: the move since the quote before, and the stored document."""

from datetime import timedelta

import pytest
from services.tests.feeds.events import START, quote

from millrace.feeds.history import History
from millrace.feeds.quotes import QUOTES


def change(price: float, *past: tuple[float, float]) -> object:
    """The change at second 100, after prices at given seconds."""
    history = History(QUOTES.window)
    for second, earlier in past:
        history.add(START + timedelta(seconds=second), QUOTES.value(quote(earlier)))
    return QUOTES.derive(quote(price, seconds=100), history)["change_pct"]


def test_it_compares_with_the_quote_before_whatever_came_late() -> None:
    assert change(110.0, (99.95, 100.0), (98, 50.0)) == pytest.approx(10.0)
    assert change(110.0, (99, 100.0), (101, 50.0)) == pytest.approx(10.0)


def test_a_late_quote_is_compared_with_the_one_before_it() -> None:
    assert change(110.0, (90, 100.0), (200, 500.0)) == pytest.approx(10.0)


def test_the_first_quote_and_one_after_a_long_stop_have_no_change() -> None:
    assert change(110.0) is None
    assert change(110.0, (100 - 600, 100.0)) == pytest.approx(10.0)
    assert change(110.0, (100 - 601, 100.0)) is None


def test_a_late_quote_has_no_change_from_what_is_older_than_the_window_of_the_newest() -> None:
    assert change(110.0, (99, 100.0), (99 + 601, 1.0)) is None


def test_a_quote_in_another_currency_is_no_move() -> None:
    history = History(QUOTES.window)
    history.add(START, QUOTES.value(quote(100.0, currency="GBX")))
    assert QUOTES.derive(quote(1.0, seconds=1, currency="GBP"), history) == {"change_pct": None}
    assert QUOTES.derive(quote(110.0, seconds=1, currency="GBX"), history) == {
        "change_pct": pytest.approx(10.0)
    }


def test_the_document() -> None:
    event = quote(10.5, bid=10.4, ask=10.6)
    assert QUOTES.document(event, {"change_pct": None}) == {
        "schema_version": 1,
        "feed": "quotes",
        "symbol": "IBM",
        "price": {"value": 10.5, "currency": "USD"},
        "bid": 10.4,
        "ask": 10.6,
        "volume": 100,
        "source": "test",
        "simulated": True,
        "timestamp_utc": START,
        "produced_at": START,
        "meta": {"change_pct": None},
    }
