"""Metals-API: how answers are read, and what is not believed."""

import contextlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.events import AHEAD
from millrace.feeds.metals import MetalPrice
from millrace.runtime import redaction
from millrace.runtime.redaction import Redactor
from millrace.sources.asking import Answer
from millrace.sources.base import Auth, Batch, Permanent, Quota, Rejected, SourceError
from millrace.sources.budget import Budget
from millrace.sources.http import Reply, decode
from millrace.sources.metals_api import (
    EARLIEST,
    FACTOR,
    METALS,
    SMALLEST,
    Metal,
    MetalsApi,
    error_in,
    normalise,
)
from millrace.sources.times import next_month

NOW = datetime(2026, 1, 2, 15, 0, 20, tzinfo=UTC)
OBSERVED = datetime(2026, 1, 2, 15, 0, tzinfo=UTC)
TIMESTAMP = int(OBSERVED.timestamp())
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["XAU", "USD", "USDXAU", "code", "info", "type"]) | st.text(max_size=3),
            inner,
            max_size=4,
        )
    ),
    max_leaves=10,
)

KEY = 10 * "k3y"
"""Longer than what is shown of a field."""


def body(rates: Any, base: str = "USD", timestamp: Any = TIMESTAMP) -> Any:
    return {"success": True, "timestamp": timestamp, "base": base, "rates": rates}


@pytest.fixture(autouse=True)
def the_key_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "_process", Redactor(["k3y", KEY]))


def sort(answer: Any, now: datetime = NOW) -> SourceError | None:
    return error_in(answer, now)


def read(answer: Any, *symbols: str) -> Batch:
    return normalise(answer, symbols or ("XAU",), NOW, simulated=False)


def price(batch: Batch) -> float:
    (event,) = batch.events
    assert isinstance(event, MetalPrice)
    return event.price


def test_a_rate_is_the_reciprocal_of_the_price() -> None:
    assert price(read(body({"XAU": 0.000239220142}))) == pytest.approx(4180.25, rel=1e-8)


def test_the_joined_key_is_preferred_to_the_reciprocal() -> None:
    assert price(read(body({"XAU": 0.000239220142, "USDXAU": 4180.25}))) == 4180.25


def test_the_key_in_a_field_is_masked_before_it_is_cut() -> None:
    (rejected,) = read(body({}, base=KEY)).rejected
    assert rejected.reason == "rates are per ***, not per USD"


def test_a_joined_key_that_disagrees_is_not_believed() -> None:
    batch = read(body({"XAU": 0.000239220142, "USDXAU": 4180.35}))
    assert not batch.events
    assert "USDXAU" in batch.rejected[0].reason


def test_with_a_metal_as_base_the_number_is_the_price() -> None:
    assert price(read(body({"USD": 4180.25, "XAU": 1}, base="XAU"))) == 4180.25


@pytest.mark.parametrize("base", ["EUR", "XAG"])
def test_rates_per_something_else_are_not_believed(base: str) -> None:
    assert not read(body({"XAU": 0.000239, "USD": 4180}, base=base)).events


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (body({"USD": 4180}, base=30 * "A"), f"rates are per {10 * 'A'}, not per USD"),
        (
            body({"XAU": 0.00025, "USDXAU": 4180.35}),
            "USDXAU is 4180.35, but the rate says 4000",
        ),
        (body({"XAU": 0.00025, "USDXAU": "4000"}), "USDXAU is not a number"),
        (body({"USD": True}, base="XAU"), "USD is not a number"),
        (body({"XAU": 1}), "1 is no plausible price of gold"),
    ],
)
def test_why_a_price_is_not_believed_is_said(answer: Any, reason: str) -> None:
    assert read(answer) == Batch([], False, [Rejected("XAU", reason)])


@pytest.mark.parametrize("answer", [body([]), body({}, base=None)])  # type: ignore[arg-type]
def test_an_answer_without_base_or_rates_is_refused(answer: Any) -> None:
    with pytest.raises(Permanent, match=r"^the answer has no base or no rates$"):
        read(answer)


def test_a_metal_costs_less_than_five_times_and_more_than_a_fifth_of_the_usual() -> None:
    metal = Metal("Tin", 10)
    assert [metal.costs(price) for price in (2, 2.01, 49.99, 50)] == [False, True, True, False]


@pytest.mark.parametrize("rate", [SMALLEST, 1 / SMALLEST])
def test_a_number_at_the_edge_is_no_rate(rate: float) -> None:
    (rejected,) = read(body({"XAU": rate})).rejected
    assert rejected.reason == "XAU is not a number that a rate can be"


def test_a_joined_key_may_differ_by_a_millionth() -> None:
    assert price(read(body({"XAU": 0.00025, "USDXAU": 4000.003}))) == 4000.003
    assert read(body({"XAU": 0.00025, "USDXAU": 4000.005})).rejected


def test_an_event_has_all_that_is_known_of_a_price() -> None:
    (event,) = normalise(body({"XAG": 0.02}), ("XAG",), NOW, simulated=False).events
    assert isinstance(event, MetalPrice)
    assert (event.symbol, event.metal_name, event.price) == ("XAG", "Silver", 50)
    assert (event.currency, event.unit, event.source) == ("USD", "troy_ounce", "metals_api")
    assert (event.observed_at, event.produced_at, event.simulated) == (OBSERVED, NOW, False)


def test_one_bad_symbol_does_not_spoil_the_others() -> None:
    batch = read(body({"XAU": 0.000239, "XAG": 0}), "XAU", "XAG")
    assert [event.symbol for event in batch.events] == ["XAU"]
    assert [rejected.symbol for rejected in batch.rejected] == ["XAG"]


@pytest.mark.parametrize("rate", [0, -1, True, "0.000239", None, 10**400, float("inf"), 5e-324])
def test_what_is_no_rate_is_not_believed(rate: Any) -> None:
    batch = read(body({"XAU": rate}))
    is_number = isinstance(rate, int | float) and rate is not True
    why = " that a rate can be" if is_number else ""
    assert not batch.events
    assert batch.rejected == [Rejected("XAU", f"XAU is not a number{why}")]


factors = st.floats(1.001 / FACTOR, FACTOR / 1.001)


@given(st.sampled_from(sorted(METALS)), factors)
def test_a_rate_mistaken_for_a_price_is_never_accepted(symbol: str, factor: float) -> None:
    dollars = METALS[symbol].usual * factor
    assert not read(body({symbol: dollars}), symbol).events
    assert not read(body({"USD": 1 / dollars}, base=symbol), symbol).events


@given(st.sampled_from(sorted(METALS)), factors)
def test_every_plausible_price_survives_its_rate(symbol: str, factor: float) -> None:
    dollars = METALS[symbol].usual * factor
    assert price(read(body({symbol: 1 / dollars}), symbol)) == pytest.approx(dollars, rel=1e-12)


@pytest.mark.parametrize("symbol", sorted(METALS))
@pytest.mark.parametrize(
    "factor", [1 / 31.1034768, 32.1507466, 0.99 / FACTOR, 1.01 * FACTOR, 566.9 / 4000, 747.4 / 4000]
)
def test_a_price_of_another_measure_or_far_from_the_usual_is_not_believed(
    symbol: str, factor: float
) -> None:
    (rejected,) = read(body({symbol: 1 / (METALS[symbol].usual * factor)}), symbol).rejected
    assert "no plausible price" in rejected.reason


@pytest.mark.parametrize("rate", [0.001764, 0.001338])
def test_gold_at_a_fraction_of_its_price_is_not_believed(rate: float) -> None:
    assert not read(body({"XAU": rate})).events


def test_the_same_timestamp_is_the_same_event() -> None:
    first = read(body({"XAU": 0.000239})).events[0]
    later = normalise(
        body({"XAU": 0.000239}), ("XAU",), NOW + timedelta(minutes=5), simulated=False
    )
    assert (
        first.event_id == later.events[0].event_id == "metals:metals_api:XAU:2026-01-02T15:00:00Z"
    )
    assert first.observed_at == OBSERVED


def test_a_simulated_observation_says_so_and_is_another_event() -> None:
    real = read(body({"XAU": 0.000239})).events[0]
    invented = normalise(body({"XAU": 0.000239}), ("XAU",), NOW, simulated=True).events[0]
    assert invented.simulated
    assert invented.source == "metals_api-simulator"
    assert invented.event_id != real.event_id


@pytest.mark.parametrize("timestamp", [None, "1767366000", 1.5, True, 0, 10**30, 1893456000])
def test_an_answer_without_a_credible_time_is_refused(timestamp: Any) -> None:
    with pytest.raises(Permanent):
        read(body({"XAU": 0.000239}, timestamp=timestamp))


def test_the_earliest_and_the_latest_time_of_a_price() -> None:
    earliest, latest = int(EARLIEST.timestamp()), int((NOW + AHEAD).timestamp())
    for timestamp in (earliest, latest):
        assert read(body({"XAU": 0.00025}, timestamp=timestamp)).events
    for timestamp in (earliest - 1, latest + 1):
        with pytest.raises(Permanent) as caught:
            read(body({"XAU": 0.00025}, timestamp=timestamp))
        assert str(caught.value) == (
            f"the timestamp {timestamp} is not a time at which prices were observed, or this host's"
            " clock is wrong"
        )
    with pytest.raises(Permanent, match=r"^the answer has no timestamp$"):
        read(body({"XAU": 0.00025}, timestamp=None))


@pytest.mark.parametrize(
    ("code", "kind"), [(101, Auth), (102, Auth), (104, Quota), (105, Permanent), (202, Permanent)]
)
def test_errors_have_their_kind(code: int, kind: type[SourceError]) -> None:
    assert type(sort({"success": False, "error": {"code": code, "info": "x"}})) is kind


@pytest.mark.parametrize("code", [101, 104, 105, "k3y"])
@pytest.mark.parametrize("before", [0, 185])
def test_the_key_that_an_error_echoes_is_scrubbed(code: object, before: int) -> None:
    said = "x" * before + " your key k3y is none"
    assert "k3" not in str(sort({"error": {"code": code, "info": said}}))


@pytest.mark.parametrize(
    ("error", "said"),
    [
        ({"code": 105, "info": "how it is", "type": "kind"}, "error 105: how it is"),
        ({"code": 101, "info": "no such key"}, "error 101: no such key"),
        ({"code": 104, "info": "used up"}, "error 104: used up"),
        ({"code": 105, "type": "kind_of_error"}, "error 105: kind_of_error"),
        ("in plain words", "error None: in plain words"),
    ],
)
def test_an_error_says_what_the_upstream_says(error: Any, said: str) -> None:
    assert str(sort({"error": error})) == said


def test_no_rates_available_is_no_error() -> None:
    assert sort({"success": False, "error": {"code": 106}}) is None


def test_a_used_up_allowance_is_asked_about_once_a_day() -> None:
    error = sort({"error": {"code": 104}})
    assert isinstance(error, Quota)
    assert error.retry_at == NOW + timedelta(days=1)
    error = sort({"error": {"code": 104}}, datetime(2026, 1, 31, 23, tzinfo=UTC))
    assert isinstance(error, Quota)
    assert error.retry_at == datetime(2026, 2, 1, tzinfo=UTC)


class Upstream:
    """Refuses for some days, then answers."""

    def __init__(self, days: int) -> None:
        self.now = NOW.timestamp()
        self.renewed = self.now + days * 86_400
        self.asked: list[float] = []

    def get(self, *_: object, **__: object) -> Reply:
        self.asked.append(self.now)
        if self.now < self.renewed:
            return Reply({"success": False, "error": {"code": 104}}, False)
        return Reply(body({"XAU": 0.000239}, timestamp=int(self.now)), False)


def test_an_allowance_that_is_renewed_within_the_month_is_used_the_day_after(
    tmp_path: Path,
) -> None:
    upstream = Upstream(days=3)

    def clock() -> float:
        return upstream.now

    for _ in range(4 * 24):
        # Every hour, each time by a new process.
        budget = Budget(tmp_path / "budget.json", "k3y", 50, next_month, clock=clock)
        source = MetalsApi(
            upstream,  # type: ignore[arg-type]
            budget,
            ["XAU"],
            interval=60,
            simulated=False,
            clock=clock,
        )
        try:
            assert source.fetch("XAU").events
            break
        except Quota:
            upstream.now += 3600
    assert [when - NOW.timestamp() for when in upstream.asked] == [0, 86_400, 172_800, 259_200]


@given(st.dictionaries(st.sampled_from(["success", "timestamp", "base", "rates", "error"]), JSON))
def test_any_answer_gives_events_or_a_typed_error(answer: dict[str, Any]) -> None:
    try:
        batch = read(answer, "XAU", "XAG")
    except SourceError:
        return
    assert all(METALS[e.symbol].costs(price(Batch((e,), False))) for e in batch.events)
    assert len(batch.events) + len(batch.rejected) == 2


@given(JSON)
def test_any_rates_with_a_good_envelope_give_events_or_rejections(rates: Any) -> None:
    answer = body(rates)
    if isinstance(rates, dict):
        assert len((batch := read(answer)).events) + len(batch.rejected) == 1
    else:
        with pytest.raises(Permanent):
            read(answer)


@given(JSON)
def test_any_error_is_typed(error: Any) -> None:
    assert isinstance(sort({"success": False, "error": error}), SourceError | None)


@given(st.binary(max_size=200) | JSON.map(lambda value: msgspec.json.encode(str(value))))
def test_any_bytes_give_an_object_or_a_typed_error(content: bytes) -> None:
    with contextlib.suppress(SourceError):
        assert isinstance(decode(Answer(200, {}, content), NOW), dict)


def test_deeply_nested_json_is_a_typed_error() -> None:
    with pytest.raises(SourceError):
        decode(Answer(200, {}, b"[" * 100_000), NOW)
