"""The invented GPUs: readings that hang together, and tokens that follow the load."""

from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean

import pytest

from millrace.invented.gpus import DAY_SECONDS, GPUS, Gpu, Gpus

START = datetime(2026, 1, 2, 15, tzinfo=UTC).timestamp()
HOST = Gpus(1, "gpu-1")
FEEDS = Path(__file__).parents[3] / "docs" / "feeds.md"
EACH = pytest.mark.parametrize("gpu", GPUS, ids=lambda gpu: gpu.name)


@EACH
def test_readings_hang_together_over_a_day(gpu: Gpu) -> None:
    times = [START + 300 * n for n in range(288)]
    loads = [HOST.load(gpu, at) for at in times]
    powers = [HOST.power(gpu, at) for at in times]
    heats = [HOST.temperature(gpu, at) for at in times]
    assert all(0 <= load <= 100 for load in loads)
    assert max(loads) - min(loads) > 40
    assert all(gpu.idle_watts <= power <= gpu.most_watts for power in powers)
    assert all(25 < heat < 90 for heat in heats)
    order = sorted(range(len(times)), key=loads.__getitem__)
    assert [powers[n] for n in order] == sorted(powers)
    assert all(gpu.model_memory < HOST.memory(gpu, at) < gpu.memory for at in times)


@EACH
def test_a_gpu_is_busiest_in_the_afternoon(gpu: Gpu) -> None:
    days = [START - START % DAY_SECONDS + DAY_SECONDS * n for n in range(60)]
    usual = [fmean(HOST.load(gpu, day + 3600 * hour) for day in days) for hour in range(24)]
    assert 13 <= usual.index(max(usual)) <= 15
    assert usual.index(min(usual)) in (1, 2, 3)
    assert max(usual) == pytest.approx(80, abs=5)
    assert min(usual) == pytest.approx(30, abs=5)


def test_the_temperature_lags_behind_the_power(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a GPU that is idle and then fully used from one moment to the next."""
    gpu = GPUS[0]
    monkeypatch.setattr(Gpus, "load", lambda _self, _gpu, at: 100.0 if at >= START else 0.0)
    heats = [HOST.temperature(gpu, START + after) for after in (-1, 0, 60, 120, 600)]
    assert heats == sorted(heats)
    assert heats[1] < heats[4] - 20
    assert heats[4] == pytest.approx(27 + 0.15 * gpu.most_watts)


@EACH
@pytest.mark.parametrize(
    ("span", "tolerance"), [(0.1, 3e-4), (5, 3e-4), (60, 3e-4), (450, 3e-4), (40_000, 0.01)]
)
def test_the_tokens_of_a_time_are_those_of_its_load(
    gpu: Gpu, span: float, tolerance: float
) -> None:
    loads = [HOST.load(gpu, START + (n + 0.5) * span / 2000) for n in range(2000)]
    expected = gpu.most_tokens * span * fmean(loads) / 100
    assert HOST.tokens(gpu, START, START + span) == pytest.approx(expected, rel=tolerance)


@EACH
def test_a_gpu_is_as_documented(gpu: Gpu) -> None:
    watts = f"{gpu.idle_watts:.0f} to {gpu.most_watts:.0f} W"
    row = f"| `{gpu.name}` | `{gpu.model}` | {gpu.most_tokens:.0f} | {watts} |"
    assert row in FEEDS.read_text().splitlines()
