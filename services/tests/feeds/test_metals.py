"""Feed metals: the change over 24 hours, and the stored document."""

from datetime import timedelta

import pytest
from services.tests.feeds.events import START, metal

from millrace.feeds.history import History
from millrace.feeds.metals import METALS


def change(price: float, *past: tuple[float, float]) -> object:
    """The change at hour 100, after prices at given hours."""
    history = History(METALS.window)
    for hour, earlier in past:
        history.add(START + timedelta(hours=hour), METALS.value(metal(earlier)))
    return METALS.derive(metal(price, hours=100), history)["change_pct_24h"]


def test_it_compares_with_the_newest_price_at_least_24_hours_older() -> None:
    past = ((60, 100.0), (75, 200.0), (76, 50.0), (76.5, 70.0), (99, 80.0))
    assert change(60.0, *past) == pytest.approx(20.0)


def test_a_price_48_hours_older_still_counts() -> None:
    assert change(50.0, (52, 100.0)) == pytest.approx(-50.0)


@pytest.mark.parametrize("hour", [51.99, 76.01, 99.9])
def test_without_a_price_between_24_and_48_hours_older_there_is_no_change(hour: float) -> None:
    assert change(50.0, (hour, 100.0)) is None


def test_the_first_price_has_no_change() -> None:
    assert change(50.0) is None


def test_a_price_that_comes_late_is_compared_with_what_was_before_it() -> None:
    assert change(60.0, (70, 40.0), (101, 90.0)) == pytest.approx(50.0)


def test_the_window_holds_every_price_that_counts_for_one_that_comes_in_order() -> None:
    past = ((52, 100.0), (100 - 1 / 3600, 90.0))
    assert change(110.0, *past) == pytest.approx(10.0)


@pytest.mark.parametrize(
    ("measure", "change"),
    [({}, -50.0), ({"currency": "EUR"}, None), ({"unit": "gram"}, None)],
)
def test_a_price_in_another_currency_or_of_another_unit_is_not_compared(
    measure: dict[str, str], change: float | None
) -> None:
    history = History(METALS.window)
    history.add(START, METALS.value(metal(100.0)))
    meta = METALS.derive(metal(50.0, hours=30, **measure), history)
    assert meta["change_pct_24h"] == (change and pytest.approx(change))


def test_the_document_of_a_price() -> None:
    event = metal(2345.5)
    meta = METALS.derive(event, History(METALS.window))
    assert METALS.document(event, meta) == {
        "schema_version": 1,
        "feed": "metals",
        "symbol": "XAU",
        "metal_name": "Gold",
        "price": {"value": 2345.5, "currency": "USD"},
        "source": "test",
        "simulated": True,
        "timestamp_utc": START,
        "produced_at": START + timedelta(seconds=1),
        "meta": {"change_pct_24h": None, "unit": "troy_ounce"},
    }
