"""What the sources about GPUs share: where a GPU is, and what an event of it is not made of."""

import socket
from collections.abc import Callable
from typing import Any

import pytest

from millrace.config import Settings
from millrace.feeds.gpu_metrics import READINGS, GpuMetrics
from millrace.feeds.token_usage import TokenUsage
from millrace.sources.base import Rejected
from millrace.sources.gpus import ServingGpu, batch, metrics, usage

NOW = 1_790_000_000.0
PLACE = ServingGpu("box", 3, "RTX 3090")
USED = {"model": "llama", "prompt_tokens": 1, "completion_tokens": 2, "latency_ms": None}
READ = {**dict.fromkeys(READINGS), "host": "box", "gpu_index": 3, "name": "RTX 3090"}


def test_a_place_is_as_configured(settings: Callable[..., Settings]) -> None:
    configured = settings(
        producer_host="box",
        producer_gpu_index=3,
        producer_gpu_name="RTX 3090",
        producer_gpu_price_per_hour=0.25,
    )
    assert ServingGpu.from_settings(configured) == ServingGpu("box", 3, "RTX 3090", 0.25)


def test_a_place_of_which_nothing_is_configured_is_this_host(
    settings: Callable[..., Settings],
) -> None:
    assert ServingGpu.from_settings(settings()) == ServingGpu(socket.gethostname(), 0, None, None)


@pytest.mark.parametrize("simulated", [False, True])
def test_a_poll_says_whether_it_is_simulated_and_keeps_the_order(simulated: bool) -> None:
    found = [
        one
        for host in "ab"
        for one in metrics(
            "test", READ | {"host": host, "temp_c": -300}, 1, NOW, simulated=simulated
        )
    ]
    made = batch(found, simulated=simulated)
    assert ([*made.events], made.simulated, made.rejected) == (found[::2], simulated, found[1::2])
    assert [type(one) for one in found] == 2 * [GpuMetrics, Rejected]


def test_a_name_that_is_no_text_has_an_id_too() -> None:
    found = usage("test", PLACE, USED, "\ud800", NOW, simulated=False)
    assert isinstance(found, TokenUsage)


def test_tokens_that_cannot_be_are_rejected_with_the_name_of_their_series() -> None:
    found = usage("test", PLACE, USED | {"prompt_tokens": -1}, "1", NOW, simulated=False)
    assert isinstance(found, Rejected)
    assert found.symbol == "box/3/llama"
    assert "prompt_tokens" in found.reason


@pytest.mark.parametrize("change", [{"gpu_index": -1}, {"host": ""}])
def test_a_gpu_that_cannot_be_is_rejected_with_its_name(change: dict[str, Any]) -> None:
    readings = READ | change
    (found,) = metrics("test", readings, 1, NOW, simulated=False)
    assert isinstance(found, Rejected)
    assert found.symbol == f"{readings['host']}/{readings['gpu_index']}"
