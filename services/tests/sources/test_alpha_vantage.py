"""Alpha Vantage: how quotes are read, what makes them the same, and how failures are sorted."""

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.config import Settings
from millrace.feeds.stocks import StockPrice
from millrace.runtime import redaction
from millrace.runtime.redaction import Redactor
from millrace.sources.alpha_vantage import AlphaVantage, error_in, from_settings, normalise
from millrace.sources.base import Auth, Batch, Permanent, Quota, Rejected, SourceError, Transient
from millrace.sources.budget import Budget
from millrace.sources.http import Reply
from millrace.sources.seen import Seen
from millrace.sources.times import next_day_in_new_york

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


def polled(
    quote: dict[str, Any], now: datetime = TRADING, seen: Seen | None = None, symbol: str = "IBM"
) -> Batch:
    """What comes of a quote; without a memory, it is seen for the first time."""
    first = seen.first if seen else lambda _series, _what, now: now.replace(microsecond=0)
    return normalise(quote, symbol, now, first, simulated=False)


def read(
    quote: dict[str, Any], now: datetime = TRADING, seen: Seen | None = None, symbol: str = "IBM"
) -> StockPrice:
    (event,) = polled(quote, now, seen, symbol).events
    assert isinstance(event, StockPrice)
    return event


@pytest.fixture
def seen(tmp_path: Path) -> Seen:
    return Seen(tmp_path / "quotes.json")


def test_strings_become_numbers() -> None:
    event = read(QUOTE)
    assert (event.open, event.high, event.low, event.price) == (231.1, 233.4, 230.05, 232.77)
    assert event.volume == 41250310


@pytest.mark.parametrize("simulated", [False, True])
def test_an_event_has_all_that_a_quote_says(simulated: bool) -> None:
    asked: list[object] = []

    def first_seen(*what: object) -> datetime:
        asked.extend(what)
        return TRADING - timedelta(minutes=1)

    batch = normalise(QUOTE, "IBM", TRADING, first_seen, simulated=simulated)
    (event,) = batch.events
    assert isinstance(event, StockPrice)
    source = "alpha_vantage-simulator" if simulated else "alpha_vantage"
    digest = hashlib.sha256(b"231.1,233.4,230.05,232.77,41250310").hexdigest()[:16]
    assert asked == [f"{source}:IBM", f"2026-01-02:{digest}", TRADING]
    assert event.event_id == f"stocks:{source}:IBM:2026-01-02T17:59:05Z:{digest}"
    assert (event.source, event.simulated, batch.simulated) == (source, simulated, simulated)
    assert (event.symbol, event.currency, event.volume) == ("IBM", "USD", 41250310)
    assert (event.open, event.high, event.low, event.price) == (231.1, 233.4, 230.05, 232.77)
    assert event.observed_at == TRADING - timedelta(minutes=1)
    assert event.produced_at == TRADING
    rejected = normalise({}, "IBM", TRADING, first_seen, simulated=simulated)
    assert rejected == Batch((), simulated, (Rejected("IBM", "the answer is about None"),))


def test_the_day_of_new_york_is_not_yet_that_of_utc() -> None:
    """At the end of the evening there, it is morning in London."""
    quote = QUOTE | {"07. latest trading day": "2026-01-03"}
    assert polled(quote, datetime(2026, 1, 3, 4, 59, tzinfo=UTC)).rejected
    assert polled(quote, datetime(2026, 1, 3, 5, tzinfo=UTC)).events


def test_the_first_day_anywhere_begins_fourteen_hours_early() -> None:
    quote = QUOTE | {"01. symbol": "XYZ.SHH", "07. latest trading day": "2026-01-06"}
    begins = datetime(2026, 1, 5, 10, tzinfo=UTC)
    assert polled(quote, begins, symbol="XYZ.SHH").events
    assert polled(quote, begins - timedelta(seconds=1), symbol="XYZ.SHH").rejected


def test_while_the_day_trades_a_quote_is_observed_when_it_is_first_seen(seen: Seen) -> None:
    assert read(QUOTE, TRADING, seen).observed_at == TRADING.replace(microsecond=0)


@pytest.mark.parametrize(
    ("day", "hour"),
    [
        pytest.param("2026-01-02", 21, id="winter"),
        pytest.param("2026-07-02", 20, id="summer"),
        pytest.param("2026-11-27", 18, id="the day after Thanksgiving"),
        pytest.param("2026-12-24", 18, id="Christmas Eve"),
        pytest.param("2028-07-03", 17, id="the day before Independence Day"),
        # Holidays on a Saturday make these Fridays holidays: a quote of them would be regular.
        pytest.param("2027-12-24", 21, id="Christmas, observed"),
        pytest.param("2026-07-03", 20, id="Independence Day, observed"),
        pytest.param("2024-11-22", 21, id="a week before the day after Thanksgiving"),
        pytest.param("2024-11-29", 18, id="the last day that can be the day after Thanksgiving"),
    ],
)
def test_after_the_close_a_quote_is_observed_at_the_close(day: str, hour: int) -> None:
    closed = datetime.fromisoformat(f"{day}T{hour}:00:00+00:00")
    event = read(QUOTE | {"07. latest trading day": day}, closed + timedelta(days=1))
    assert event.observed_at == closed
    assert event.event_id.startswith(f"stocks:alpha_vantage:IBM:{day}T{hour}:00:00Z:")


@pytest.mark.parametrize("now", [TRADING, AFTER_CLOSE, datetime(2026, 1, 2, 21, 0, tzinfo=UTC)])
def test_an_unchanged_quote_is_the_same_event_however_often_it_is_polled(
    tmp_path: Path, now: datetime
) -> None:
    polls = [now + timedelta(minutes=n) for n in range(10)]
    # Each poll by a new process.
    events = [read(dict(QUOTE), poll, Seen(tmp_path / "quotes.json")) for poll in polls]
    assert {(e.event_id, e.observed_at) for e in events} == {
        (events[0].event_id, events[0].observed_at)
    }


def test_on_a_half_day_that_no_rule_knows_an_unchanged_quote_is_one_event_too(seen: Seen) -> None:
    closed = datetime(2026, 1, 2, 18, 5, tzinfo=UTC)
    events = [read(QUOTE, closed + timedelta(minutes=5 * n), seen) for n in range(60)]
    assert len({event.event_id for event in events}) == 1
    assert events[-1].observed_at == closed


def test_a_quote_that_comes_back_from_a_cache_is_the_event_that_it_was(seen: Seen) -> None:
    newer = QUOTE | {"06. volume": "41250400"}
    polls = [(quote, TRADING + timedelta(minutes=n)) for n, quote in enumerate([QUOTE, newer] * 3)]
    ids = [read(quote, now, seen).event_id for quote, now in polls]
    assert len(set(ids)) == 2
    assert ids[0] == ids[2] == ids[4]


@pytest.mark.parametrize(("others", "is_known"), [(15, True), (16, False)])
def test_so_many_quotes_of_a_share_may_come_back(seen: Seen, others: int, is_known: bool) -> None:
    times = [
        seen.first("IBM", f"quote {number}", TRADING + timedelta(minutes=minute))
        for minute, number in enumerate([*range(others + 1), 0])
    ]
    assert (times[-1] == times[0]) is is_known


def test_what_was_seen_of_one_share_says_nothing_of_another(seen: Seen) -> None:
    later = TRADING + timedelta(minutes=1)
    other = QUOTE | {"01. symbol": "AAPL"}
    assert read(QUOTE, TRADING, seen).observed_at != read(other, later, seen, "AAPL").observed_at


def test_the_same_values_on_another_day_are_another_event(seen: Seen) -> None:
    tomorrow = QUOTE | {"07. latest trading day": "2026-01-05"}
    first = read(QUOTE, TRADING, seen)
    second = read(tomorrow, TRADING + timedelta(days=3), seen)
    assert first.event_id != second.event_id


def test_no_more_is_kept_than_is_needed(tmp_path: Path) -> None:
    file = tmp_path / "quotes.json"
    seen = Seen(file)
    for n in range(1000):
        read(QUOTE | {"06. volume": str(n)}, TRADING, seen)
    assert file.stat().st_size < 2000


@pytest.mark.parametrize("content", ["", "{", "[]", '{"IBM": 1}'])
def test_a_memory_that_cannot_be_read_is_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "quotes.json").write_text(content)
    read(QUOTE, TRADING, Seen(tmp_path / "quotes.json"))


def test_an_id_stands_for_one_time_of_observation(tmp_path: Path) -> None:
    # What is derived from history relies on it: see millrace.events. A memory may be lost.
    first = read(QUOTE, TRADING, Seen(tmp_path / "one"))
    second = read(QUOTE, TRADING + timedelta(minutes=1), Seen(tmp_path / "other"))
    assert first.observed_at != second.observed_at
    assert first.event_id != second.event_id


@pytest.mark.parametrize(
    ("symbol", "currency"),
    [
        ("IBM", "USD"),
        ("BRK.B", "USD"),
        ("BRK-B", "USD"),
        ("XYZ.LON", "XXX"),
        ("XYZ.L", "XXX"),
        ("600104.SHH", "XXX"),
        ("SHOP.TRT", "XXX"),
        ("LON:XYZ", "XXX"),
    ],
)
def test_only_shares_of_the_us_are_known_to_be_in_dollars(symbol: str, currency: str) -> None:
    event = read(QUOTE | {"01. symbol": symbol, "05. price": "1852.0000"}, symbol=symbol)
    assert (event.price, event.currency) == (1852.0, currency)


def test_the_day_of_an_exchange_ahead_of_new_york_comes_before(seen: Seen) -> None:
    quote = QUOTE | {"01. symbol": "XYZ.SHH", "07. latest trading day": "2026-01-06"}
    # Three in the morning in Shanghai, two in the afternoon of the day before in New York.
    early = datetime(2026, 1, 5, 19, tzinfo=UTC)
    assert read(quote, early, seen, "XYZ.SHH").observed_at == early
    quote = quote | {"07. latest trading day": "2026-01-08"}
    assert polled(quote, early, seen, "XYZ.SHH").rejected


def test_a_quote_of_an_exchange_whose_hours_are_not_known_is_of_its_day() -> None:
    quote = QUOTE | {"01. symbol": "XYZ.LON"}
    event = read(quote, datetime(2026, 1, 4, 12, tzinfo=UTC), symbol="XYZ.LON")
    assert event.observed_at == datetime(2026, 1, 3, tzinfo=UTC)


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
    ("change", "reason"),
    [
        ({"01. symbol": "AAPL"}, "the answer is about AAPL"),
        ({"01. symbol": 30 * "A"}, f"the answer is about {20 * 'A'}"),
        ({"02. open": "0"}, "02. open is zero"),
        ({"03. high": "x"}, "03. high is not what it should be: x"),
        ({"05. price": "-1"}, "05. price is not what it should be: -1"),
        ({"05. price": "nan"}, "05. price is not what it should be: nan"),
        ({"05. price": "1e3"}, "05. price is not what it should be: 1e3"),
        ({"05. price": 232.77}, "05. price is not what it should be: 232.77"),
        ({"05. price": None}, "05. price is not what it should be: None"),
        ({"05. price": 30 * "x"}, f"05. price is not what it should be: {20 * 'x'}"),
        ({"04. low": "240.0"}, "the low, 240, is above the high, 233.4"),
        ({"06. volume": "12.5"}, "06. volume is not what it should be: 12.5"),
        ({"07. latest trading day": "2026-01-03"}, "the trading day 2026-01-03 has not come yet"),
        ({"07. latest trading day": "2026-02-30"}, "day is out of range for month"),
        ({"07. latest trading day": "x"}, "07. latest trading day is not what it should be: x"),
        ({"05. price": "0.0000000001"}, "Expected `float` >= 1e-09 - at `$.price`"),
        ({"05. price": "999999999999999.0"}, "Expected `float` <= 1000000000000.0 - at `$.price`"),
    ],
)
def test_a_quote_that_cannot_be_is_not_believed(change: dict[str, Any], reason: str) -> None:
    batch = polled(QUOTE | change)
    assert not batch.events
    assert batch.rejected == (Rejected("IBM", reason),)


def test_a_quote_whose_low_is_its_high_is_believed() -> None:
    assert read(QUOTE | {"03. high": "230.05"}).low == 230.05


@pytest.fixture(autouse=True)
def the_key_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "_process", Redactor(["k3y", KEY]))


def sort(body: dict[str, Any], requests: int = 1) -> SourceError:
    return error_in(body, TRADING, requests)


def wait(body: dict[str, Any], requests: int = 1) -> timedelta:
    error = sort(body, requests)
    assert isinstance(error, Quota)
    return error.retry_at - TRADING


MIDNIGHT = datetime(2026, 1, 3, 5, tzinfo=UTC) - TRADING
MOMENT, MINUTE = timedelta(seconds=1.2), timedelta(minutes=1)
SPARINGLY = (
    "Please consider spreading out your free API requests more sparingly. You may subscribe to a"
    " premium plan to lift the free key rate limit (25 requests per day)."
)


def test_the_daily_limit_waits_for_midnight_in_new_york() -> None:
    assert wait({"Information": DAILY}, requests=25) == MIDNIGHT


@pytest.mark.parametrize("words", [DAILY, SPARINGLY])
def test_a_daily_limit_that_cannot_be_reached_yet_is_another_limit(words: str) -> None:
    assert wait({"Information": words}, requests=24) == MINUTE


@pytest.mark.parametrize(("words", "requests"), [(DAILY, 25), (DAILY, 1), (BURST, 1)])
def test_a_limit_is_told_in_the_words_of_the_upstream(words: str, requests: int) -> None:
    assert str(sort({"Information": words}, requests)) == words.replace("k3y", "***")[:200]


def test_two_requests_are_as_far_apart_as_configured(settings: Callable[..., Settings]) -> None:
    configured = settings(alpha_vantage_api_key=KEY, alpha_vantage_requests_per_second=0.5)
    assert from_settings(configured)._budget._spacing == 2


def test_no_limit_is_waited_for_past_midnight() -> None:
    late = datetime(2026, 1, 3, 4, 59, 30, tzinfo=UTC)
    error = error_in({"Information": DAILY}, late, 3)
    assert isinstance(error, Quota)
    assert error.retry_at == datetime(2026, 1, 3, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("said", "pause"),
    [
        (BURST, MOMENT),
        ("No more than 1 request per second, please.", MOMENT),
        ("At most 75 API requests per minute with this plan.", MINUTE),
        ("Limited to 1,000 requests per day.", MINUTE),
    ],
)
def test_a_limit_is_known_by_its_numbers(said: str, pause: timedelta) -> None:
    assert wait({"Information": said}, requests=25) == pause


def test_the_key_that_an_error_echoes_is_scrubbed() -> None:
    assert "k3y" not in str(sort({"Information": DAILY}))


@pytest.mark.parametrize("field", ["01. symbol", "05. price", "07. latest trading day"])
def test_the_key_in_a_field_is_masked_before_it_is_cut(field: str) -> None:
    (rejected,) = polled(QUOTE | {field: KEY}).rejected
    assert KEY[:10] not in rejected.reason
    assert "***" in rejected.reason


@pytest.mark.parametrize(
    "said", ["Our call frequency is 5 calls per minute and 500 calls per day.", "Thank you!", None]
)
def test_a_note_waits_a_minute(said: str | None) -> None:
    body = {"Note": said}
    if said is None:
        assert isinstance(sort(body), Transient)
    else:
        assert wait(body, requests=25) == MINUTE


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"Information": "A premium endpoint."}, Permanent("A premium endpoint.")),
        ({"Error Message": "Invalid API call."}, Permanent("Invalid API call.")),
        ({"Error Message": "apikey is missing."}, Auth("apikey is missing.")),
        ({"Global Quote": {}}, Permanent("no such symbol")),
        ({}, Transient("the answer has no quote and no reason")),
        ({"Something": "new"}, Transient("the answer has no quote and no reason")),
    ],
)
def test_failures_have_their_kind(body: dict[str, Any], expected: SourceError) -> None:
    found = sort(body)
    assert (type(found), str(found)) == (type(expected), str(expected))


class Upstream:
    """Gives prepared answers."""

    def __init__(self, *answers: dict[str, Any]) -> None:
        self.now = TRADING.timestamp()
        self._answers = iter(answers)

    def get(self, *_: object, **__: object) -> Reply:
        return Reply(next(self._answers), False)


def test_a_refusal_after_a_quote_is_the_first_again(tmp_path: Path, seen: Seen) -> None:
    refused, served = {"Information": DAILY}, {"Global Quote": QUOTE}
    upstream = Upstream(refused, refused, refused, served, refused)

    def clock() -> float:
        return upstream.now

    budget = Budget(tmp_path / "budget.json", "k3y", 25, next_day_in_new_york, clock=clock)
    source = AlphaVantage(
        upstream, budget, ["IBM"], interval=60, simulated=False, clock=clock, seen=seen
    )
    waits: list[float] = []
    for _ in range(5):
        try:
            source.fetch("IBM")
        except Quota as error:
            waits.append(error.retry_at.timestamp() - upstream.now)
        upstream.now += 3600
    assert waits == [60, 60, 600, 60]


@given(st.dictionaries(st.sampled_from(sorted(QUOTE)), st.text(max_size=12) | st.integers()))
def test_any_quote_gives_an_event_or_a_rejection(change: dict[str, Any]) -> None:
    batch = polled(QUOTE | change)
    assert len(batch.events) + len(batch.rejected) == 1


@given(
    st.dictionaries(
        st.sampled_from(["Note", "Information", "Error Message", "Global Quote"]),
        st.none()
        | st.text()
        | st.integers()
        | st.lists(st.text())
        | st.from_regex(r"\d+ (requests|calls) per (second|minute|day)"),
    ),
    st.integers(0, 100),
)
def test_any_failure_is_typed(body: dict[str, Any], requests: int) -> None:
    error = sort(body, requests)
    assert isinstance(error, SourceError)
    if isinstance(error, Quota):
        assert MOMENT <= error.retry_at - TRADING <= MIDNIGHT
