"""Alpha Vantage: how quotes are read, what makes them the same, and how failures are sorted."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace import redaction
from millrace.feeds.stocks import StockPrice
from millrace.redaction import Redactor
from millrace.sources.alpha_vantage import error_in, normalise
from millrace.sources.base import Auth, Permanent, Quota, SourceError, Transient

TRADING = datetime(2026, 1, 2, 18, 0, 5, 250_000, tzinfo=UTC)
AFTER_CLOSE = datetime(2026, 1, 3, 4, tzinfo=UTC)
QUOTE = {
    "01. symbol": "IBM",
    "02. open": "231.1000",
    "03. high": "233.4000",
    "04. low": "230.0500",
    "05. price": "232.7700",
    "06. volume": "41250310",
    "07. latest trading day": "2026-01-02",
    "08. previous close": "230.2400",
    "09. change": "2.5300",
    "10. change percent": "1.0989%",
}
DAILY = "We know your API key as k3y; the rate limit is 25 requests per day. See premium plans."
BURST = (
    "Please consider spreading out your requests (1 request per second). Premium plans lift the"
    " free key rate limit (25 requests per day)."
)

KEY = 10 * "k3y"
"""Longer than what is shown of a field."""


def read(quote: dict[str, Any], now: datetime = TRADING) -> StockPrice:
    batch = normalise(quote, "IBM", now, simulated=False)
    (event,) = batch.events
    assert isinstance(event, StockPrice)
    return event


def test_strings_become_numbers() -> None:
    event = read(QUOTE)
    assert (event.open, event.high, event.low, event.price) == (231.1, 233.4, 230.05, 232.77)
    assert event.volume == 41250310


def test_while_the_day_trades_a_quote_is_observed_when_it_is_polled() -> None:
    assert read(QUOTE).observed_at == TRADING.replace(microsecond=0)


def test_after_the_close_a_quote_is_observed_at_the_close() -> None:
    assert read(QUOTE, AFTER_CLOSE).observed_at == datetime(2026, 1, 2, 21, tzinfo=UTC)


def test_in_summer_the_close_is_an_hour_earlier_in_utc() -> None:
    quote = QUOTE | {"07. latest trading day": "2026-07-02"}
    event = read(quote, datetime(2026, 7, 3, tzinfo=UTC))
    assert event.observed_at == datetime(2026, 7, 2, 20, tzinfo=UTC)


def test_after_the_close_an_unchanged_quote_is_the_same_event() -> None:
    later = AFTER_CLOSE + timedelta(hours=5)
    assert read(QUOTE, AFTER_CLOSE).event_id == read(dict(QUOTE), later).event_id


def test_an_id_stands_for_one_time_of_observation() -> None:
    # What is derived from history relies on it: see millrace.events.
    later = TRADING + timedelta(minutes=1)
    assert read(QUOTE).observed_at != read(QUOTE, later).observed_at
    assert read(QUOTE).event_id != read(QUOTE, later).event_id


@pytest.mark.parametrize(
    "change",
    [
        {"05. price": "232.7800"},
        {"06. volume": "41250311"},
        {"07. latest trading day": "2026-01-01"},
    ],
)
def test_a_changed_quote_is_another_event(change: dict[str, str]) -> None:
    assert read(QUOTE | change).event_id != read(QUOTE).event_id


@pytest.mark.parametrize(
    "change",
    [
        {"01. symbol": "AAPL"},
        {"05. price": "0.0000"},
        {"05. price": "-1"},
        {"05. price": "nan"},
        {"05. price": "1e3"},
        {"05. price": 232.77},
        {"05. price": None},
        {"04. low": "240.0"},
        {"06. volume": "12.5"},
        {"07. latest trading day": "2026-01-03"},
        {"07. latest trading day": "2026-02-30"},
        {"07. latest trading day": "yesterday"},
    ],
)
def test_a_quote_that_cannot_be_is_not_believed(change: dict[str, Any]) -> None:
    batch = normalise(QUOTE | change, "IBM", TRADING, simulated=False)
    assert not batch.events
    assert len(batch.rejected) == 1


@pytest.fixture(autouse=True)
def the_key_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "_process", Redactor(["k3y", KEY]))


def sort(body: dict[str, Any]) -> SourceError:
    return error_in(body, TRADING)


def test_the_daily_limit_waits_for_midnight_in_new_york() -> None:
    error = sort({"Information": DAILY})
    assert isinstance(error, Quota)
    assert error.retry_at == datetime(2026, 1, 3, 5, tzinfo=UTC)


def test_the_key_that_an_error_echoes_is_scrubbed() -> None:
    assert "k3y" not in str(sort({"Information": DAILY}))


@pytest.mark.parametrize("field", ["01. symbol", "05. price", "07. latest trading day"])
def test_the_key_in_a_field_is_masked_before_it_is_cut(field: str) -> None:
    (rejected,) = normalise(QUOTE | {field: KEY}, "IBM", TRADING, simulated=False).rejected
    assert KEY[:10] not in rejected.reason
    assert "***" in rejected.reason


def test_the_burst_limit_waits_a_moment_although_it_names_the_daily_limit() -> None:
    error = sort({"Information": BURST})
    assert isinstance(error, Quota)
    assert error.retry_at - TRADING < timedelta(seconds=2)


def test_a_note_waits_a_minute() -> None:
    error = sort({"Note": "Our call frequency is 5 calls per minute and 500 calls per day."})
    assert isinstance(error, Quota)
    assert error.retry_at - TRADING == timedelta(minutes=1)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"Information": "This is a premium endpoint."}, Permanent),
        ({"Error Message": "Invalid API call."}, Permanent),
        ({"Error Message": "the parameter apikey is invalid or missing."}, Auth),
        ({"Global Quote": {}}, Permanent),
        ({}, Transient),
        ({"Something": "new"}, Transient),
    ],
)
def test_failures_have_their_kind(body: dict[str, Any], kind: type[SourceError]) -> None:
    assert type(sort(body)) is kind


@given(st.dictionaries(st.sampled_from(sorted(QUOTE)), st.text(max_size=12) | st.integers()))
def test_any_quote_gives_an_event_or_a_rejection(change: dict[str, Any]) -> None:
    batch = normalise(QUOTE | change, "IBM", TRADING, simulated=False)
    assert len(batch.events) + len(batch.rejected) == 1


@given(
    st.dictionaries(
        st.sampled_from(["Note", "Information", "Error Message", "Global Quote"]),
        st.none() | st.text() | st.integers() | st.lists(st.text()),
    )
)
def test_any_failure_is_typed(body: dict[str, Any]) -> None:
    assert isinstance(sort(body), SourceError)
