"""Feed token_usage: rates in the window, what a token costs, and the stored document."""

from itertools import pairwise
from typing import Any

import msgspec
import pytest
from services.tests.feeds.events import START, tokens

from millrace.feeds.token_usage import TOKEN_USAGE, TokenUsage, derive, value
from millrace.processor.decode import decoder
from millrace.processor.errors import BadRecord


def meta(event: TokenUsage, *past: TokenUsage) -> dict[str, Any]:
    """What is derived of an event after others."""
    window: Any = TOKEN_USAGE.history(TOKEN_USAGE.window)
    for earlier in past:
        window.add(earlier.observed_at, value(earlier))
    return dict(derive(event, window))


def steady(seconds: int) -> list[TokenUsage]:
    """900 tokens a second: 300 read and 600 written."""
    return [tokens(300, 600, seconds=second) for second in range(seconds)]


def test_the_known_example_of_a_cost() -> None:
    *past, last = steady(100)
    found = meta(last, *past)
    assert found["tokens_per_second"] == pytest.approx(900)
    assert found["cost_per_token"] == pytest.approx(2.62e-7, rel=0.002)
    assert found["window_s"] == 30


def test_prompts_and_completions_are_told_apart() -> None:
    *past, last = steady(100)
    found = meta(last, *past)
    assert found["prompt_tokens_per_second"] == pytest.approx(300)
    assert found["completion_tokens_per_second"] == pytest.approx(600)
    assert found["cost_per_prompt_token"] == pytest.approx(3 * found["cost_per_token"])
    assert found["cost_per_completion_token"] == pytest.approx(1.5 * found["cost_per_token"])


@pytest.mark.parametrize("every", [1, 9.99, 10, 15, 20, 45])
def test_the_rate_does_not_depend_on_how_often_counters_are_read(every: float) -> None:
    """Each event holds what was used since the one before."""
    events = [tokens(round(1000 * every), seconds=number * every) for number in range(70)]
    assert meta(events[-1], *events[:-1])["tokens_per_second"] == pytest.approx(1000)


@pytest.mark.parametrize("gap", [31.0, 60.0, 60.5, 90.0, 600.0, 86_400.0])
def test_what_was_used_in_a_gap_is_shared_by_the_whole_of_it(gap: float) -> None:
    """1000 tokens a second, told every 15 seconds but for once."""
    times = [*(15.0 * n for n in range(5)), *(60 + gap + 15 * n for n in range(5))]
    events = [
        tokens(round(1000 * (now - before)), seconds=now, span_s=now - before)
        for before, now in pairwise(times)
    ]
    for number, event in enumerate(events):
        found = meta(event, *events[:number])
        assert found["tokens_per_second"] == pytest.approx(1000)
        assert found["cost_per_token"] == pytest.approx(0.85 / 3.6e6)


def test_a_span_is_stored_where_it_is_known() -> None:
    event = tokens(10, span_s=90.0)
    document = {"_id": event.event_id, **TOKEN_USAGE.document(event, meta(event))}
    assert document["span_s"] == 90
    assert TOKEN_USAGE.value_in(document) == value(event)


def test_the_first_event_is_not_divided_by_nothing() -> None:
    found = meta(tokens(100, 400))
    assert (found["window_s"], found["tokens_per_second"]) == (5.0, 100.0)


def test_without_tokens_or_without_a_price_a_token_has_no_cost() -> None:
    nothing = meta(tokens(0, 0))
    assert (nothing["tokens_per_second"], nothing["cost_per_token"]) == (0.0, None)
    unknown = meta(tokens(10, gpu_name="Voodoo 2"))
    assert unknown["price_per_hour_usd"] is unknown["cost_per_token"] is None
    assert unknown["tokens_per_second"] == 2.0
    assert meta(tokens(10))["cost_per_completion_token"] is None


def test_the_price_of_an_event_goes_before_that_of_the_table() -> None:
    own = meta(tokens(10, price_per_hour_usd=1.7))
    assert own["cost_per_token"] == pytest.approx(2 * meta(tokens(10))["cost_per_token"])
    assert meta(tokens(10, price_per_hour_usd=0.0))["cost_per_token"] == 0


def test_a_repeated_event_counts_once_and_events_of_one_time_all() -> None:
    twin = tokens(10, seconds=1, event_id="twin")
    found = meta(tokens(10, seconds=6), tokens(10, seconds=1), twin, twin, tokens(10, seconds=1))
    assert found["tokens_per_second"] == pytest.approx(30 / 5)


def test_what_comes_too_late_has_no_rate_and_changes_none() -> None:
    past = [tokens(10, seconds=100)]
    late = tokens(1000, seconds=89.999)
    found = meta(late, *past)
    assert found["late"] is True
    assert found["cost_per_token"] is found["tokens_per_second"] is found["window_s"] is None
    assert found["price_per_hour_usd"] == 0.85
    after = tokens(10, seconds=101)
    assert meta(after, *past, late) == meta(after, *past)


def test_what_comes_late_within_the_allowance_counts() -> None:
    past = [tokens(10, seconds=100)]
    assert meta(tokens(50, seconds=90), *past)["tokens_per_second"] == 10.0
    assert meta(tokens(10, seconds=100.5), *past, tokens(50, seconds=90))["window_s"] == 10.5


def test_the_document() -> None:
    event = tokens(100, 200, latency_ms=12.5)
    found = meta(event)
    assert TOKEN_USAGE.document(event, found) == {
        "schema_version": 1,
        "feed": "token_usage",
        "symbol": "gpu-host/0/llama",
        "host": "gpu-host",
        "gpu_index": 0,
        "gpu_name": "RTX 3090",
        "model": "llama",
        "prompt_tokens": 100,
        "completion_tokens": 200,
        "latency_ms": 12.5,
        "cost_per_token": found["cost_per_token"],
        "ts": START,
        "source": "test",
        "simulated": True,
        "timestamp_utc": START,
        "produced_at": START,
        "meta": found,
    }


def test_a_symbol_that_is_of_another_model_is_said() -> None:
    other = msgspec.to_builtins(tokens(100)) | {"symbol": "gpu-host/0/other"}
    with pytest.raises(BadRecord, match=r"^the symbol is not host/gpu_index/model$"):
        decoder(TOKEN_USAGE)(msgspec.json.encode(other))


@pytest.mark.parametrize(
    "change",
    [
        {"host": "a/b", "symbol": "a/b/0/llama"},
        {"prompt_tokens": -1},
        {"prompt_tokens": 10**9 + 1},
        {"completion_tokens": 1.5},
        {"model": ""},
        {"latency_ms": -1},
    ],
)
def test_what_cannot_be_is_a_dead_letter(change: dict[str, object]) -> None:
    good = msgspec.to_builtins(tokens(100, 200))
    decode = decoder(TOKEN_USAGE)
    decode(msgspec.json.encode(good))
    with pytest.raises(BadRecord):
        decode(msgspec.json.encode(good | change))
