"""Feed stocks: the move since the price before, and the alert about a large one."""

from datetime import timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from services.tests.feeds.events import START, stock

from millrace.events import Alert
from millrace.feeds.history import History
from millrace.feeds.stocks import STOCKS, WINDOW


def change(price: float, *past: tuple[float, float]) -> object:
    """The change at minute 100, after prices at given minutes."""
    history = History(STOCKS.window)
    for minute, earlier in past:
        history.add(START + timedelta(minutes=minute), STOCKS.value(stock(earlier)))
    return STOCKS.derive(stock(price, minutes=100), history)["change_pct"]


def alert(percent: float | None, threshold: float = 0.05) -> Alert | None:
    assert STOCKS.alert
    return STOCKS.alert(stock(1.0), {"change_pct": percent}, threshold)


def test_it_compares_with_the_price_observed_last_before() -> None:
    assert change(110.0, (99, 100.0), (98, 50.0)) == pytest.approx(10.0)


def test_later_prices_and_those_of_the_same_time_do_not_count() -> None:
    assert change(110.0, (99, 100.0), (100, 60.0), (101, 70.0)) == pytest.approx(10.0)


def test_the_first_price_has_no_change() -> None:
    assert change(110.0) is None


def test_a_price_older_than_the_window_does_not_count() -> None:
    past = 100 - WINDOW / timedelta(minutes=1)
    assert change(110.0, (past, 100.0)) == pytest.approx(10.0)
    assert change(110.0, (past - 0.5, 100.0)) is None


def test_of_a_late_price_the_window_ends_with_the_newest() -> None:
    past = 100 - WINDOW / timedelta(minutes=1)
    newer = (100.5, 1.0)
    assert change(110.0, (past + 0.5, 100.0), newer) == pytest.approx(10.0)
    assert change(110.0, (past + 0.4, 100.0), newer) is None


def test_a_price_in_another_currency_is_no_move_and_raises_no_alert() -> None:
    history = History(STOCKS.window)
    changes = []
    for minute, (price, currency) in enumerate([(100, "USD"), (86, "EUR"), (90.4, "EUR")]):
        event = stock(price, minutes=minute, currency=currency)
        meta = STOCKS.derive(event, history)
        history.add(event.observed_at, STOCKS.value(event))
        changes.append(meta["change_pct"])
        assert STOCKS.alert
        assert (STOCKS.alert(event, meta, 0.05) is not None) == (minute == 2)
    assert changes == [None, None, pytest.approx(100 * (90.4 / 86 - 1))]


def test_a_price_after_a_stop_raises_no_alert() -> None:
    history = History(STOCKS.window)
    history.add(START, STOCKS.value(stock(100.0)))
    event = stock(200.0, minutes=400 * 24 * 60)
    assert STOCKS.alert
    assert STOCKS.alert(event, STOCKS.derive(event, history), 0.05) is None


@pytest.mark.parametrize("percent", [5.0, -5.0, 80.0])
def test_a_move_of_the_threshold_or_more_raises_an_alert(percent: float) -> None:
    event = stock(1.0)
    found = alert(percent)
    assert found is not None
    assert found.event_id == f"{event.event_id}:move"
    assert (found.cause, found.symbol, found.feed) == (event.event_id, "IBM", "stocks")
    assert (found.schema_version, found.observed_at) == (1, event.observed_at)
    assert found.value == pytest.approx(percent / 100)
    assert found.threshold == 0.05


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(500.0, 125.5, id="4:1"),
        pytest.param(88.99, 44.86, id="2:1"),
        pytest.param(1000.0, 52.0, id="20:1"),
        pytest.param(2.0, 21.5, id="1:10"),
        pytest.param(10.0, 28.0, id="1:3"),
    ],
)
def test_what_may_be_a_split_is_no_move(before: float, after: float) -> None:
    found = alert(percent(before, after))
    assert found is not None
    assert found.kind == "possible_split"
    assert found.value == pytest.approx(after / before - 1)


@pytest.mark.parametrize(
    ("before", "after"),
    [(100.0, 94.0), (100.0, 60.0), (100.0, 56.0), (100.0, 40.0), (100.0, 150.0), (100.0, 170.0)],
)
def test_what_is_no_split_is_a_move(before: float, after: float) -> None:
    found = alert(percent(before, after))
    assert found is not None
    assert found.kind == "move"


@given(st.floats(1e-9, 1e12), st.floats(1e-9, 1e12))
@example(1e12, 1e-9)
def test_any_two_prices_have_a_kind(before: float, after: float) -> None:
    found = alert(percent(before, after))
    assert found is None or found.kind in ("move", "possible_split")


def percent(before: float, after: float) -> float:
    """The change that the feed derives."""
    history = History(STOCKS.window)
    history.add(START, STOCKS.value(stock(before)))
    derived = STOCKS.derive(stock(after, minutes=1), history)["change_pct"]
    assert isinstance(derived, float)
    return derived


@pytest.mark.parametrize("percent", [4.999, -4.999, 0.0, None])
def test_a_smaller_move_or_none_raises_no_alert(percent: float | None) -> None:
    assert alert(percent) is None


def test_the_document_of_a_price() -> None:
    event = stock(10.5, high=11.0, low=9.5, open=10.0)
    assert STOCKS.document(event, {"change_pct": 1.5}) == {
        "schema_version": 1,
        "feed": "stocks",
        "symbol": "IBM",
        "price": {"value": 10.5, "currency": "USD"},
        "open": 10.0,
        "high": 11.0,
        "low": 9.5,
        "volume": 100,
        "source": "test",
        "simulated": False,
        "timestamp_utc": START,
        "produced_at": START + timedelta(seconds=1),
        "meta": {"change_pct": 1.5},
    }
