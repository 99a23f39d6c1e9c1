"""A GPU that has no price: its costs are null, and one line of the log says how to set one."""

from collections.abc import Iterator, MutableMapping
from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from millrace.events import Event
from millrace.sources import gpus
from millrace.sources.gpus import ServingGpu, metrics, usage

NOW = 1_790_000_000.0
PLACE = ServingGpu("box", 0, "H100")
USED = {"model": "llama", "prompt_tokens": 1, "completion_tokens": 2, "latency_ms": None}
READ = {"host": "box", "gpu_index": 0, **dict.fromkeys(gpus._READINGS)}

Said = list[MutableMapping[str, Any]]


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> Iterator[Said]:
    """What a producer says that has just started."""
    monkeypatch.setattr(gpus, "_unpriced", set())
    with capture_logs() as lines:
        yield lines


def observed(name: str, price: float | None = None) -> Event:
    (event,) = metrics("test", READ | {"name": name}, price, NOW, simulated=False)
    assert isinstance(event, Event)
    return event


def used(place: ServingGpu) -> Event:
    event = usage("test", place, USED, "1", NOW, simulated=False)
    assert isinstance(event, Event)
    return event


def test_a_gpu_without_a_price_is_told_once_whatever_is_observed_of_it(said: Said) -> None:
    for _ in range(2):
        observed("H100")
        used(PLACE)
        observed("H200")
    assert [line["gpu_name"] for line in said] == ["H100", "H200"]
    assert said[0]["log_level"] == "warning"
    assert said[0]["day"] == "2026-09-21"
    assert "MILLRACE_PRODUCER_GPU_PRICE_PER_HOUR" in said[0]["set"]


def test_tokens_of_a_gpu_that_nobody_named_are_told_too(said: Said) -> None:
    used(replace(PLACE, gpu_name=None))
    assert [line["gpu_name"] for line in said] == [None]


@pytest.mark.parametrize("price", [1.5, 0.0])
def test_nothing_is_told_of_a_gpu_with_a_price(said: Said, price: float) -> None:
    observed("H100", price)
    used(replace(PLACE, price_per_hour=price))
    observed("RTX 3090")
    used(replace(PLACE, gpu_name="RTX 3090"))
    assert not said


def test_no_more_names_are_told_and_kept_than_a_bound(said: Said) -> None:
    for number in range(2 * gpus.MOST_NAMES):
        metrics("test", READ | {"name": f"{number} {300 * 'x'}"}, None, NOW, simulated=False)
    assert len(said) == len(gpus._unpriced) == gpus.MOST_NAMES
    assert max(len(line["gpu_name"]) for line in said) == 200
