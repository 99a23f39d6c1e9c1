"""Workload: metrics or token usage of two simulated GPUs that serve language models.

Everything is a function of seed, GPU and time, so that every producer generates the same, also
after a restart. The load of a GPU follows the time of day (UTC) with some noise; power follows the
load, temperature follows power with a delay, and the tokens of a request follow the load.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from millrace.config import Settings
from millrace.events import Event
from millrace.sources import noise
from millrace.sources.base import SHORTEST_GAP, Batch, Rejected, gap
from millrace.sources.gpus import ServingGpu, metrics, usage

METRICS, TOKENS = "gpu_metrics", "token_usage"
DAY_SECONDS = 86_400
BUSIEST_HOUR = 14
TURNS = ((30.0, 6.0), (300.0, 12.0), (3600.0, 8.0))
"""Periods in seconds and amplitudes in percent of the load's noises."""
AMBIENT = 27.0
DEGREES_PER_WATT = 0.15
HEAT_SECONDS = 60.0
"""Time after which the temperature has followed two thirds of a change of power."""
HEAT_STEPS = 12
PROMPT_SHARE = 0.7


@dataclass(frozen=True)
class Gpu:
    """A kind of GPU, and the model that it serves."""

    index: int
    name: str
    memory: int
    """MiB."""
    idle_watts: float
    most_watts: float
    model: str
    model_memory: int
    """MiB."""
    most_tokens: float
    """Tokens per second at full load."""


GPUS = (
    Gpu(0, "RTX 3090", 24_576, 30.0, 350.0, "llama-3.1-8b-instruct", 17_200, 900.0),
    Gpu(1, "A100 40GB", 40_960, 45.0, 250.0, "qwen2.5-14b-instruct", 31_800, 2400.0),
)


class Workload:
    """The source: each poll returns the events that have become due since the previous one.

    Events are due at whole multiples of the step since 1970. Events older than `longest_gap`
    seconds are left out.
    """

    units: tuple[str, ...] = ("workload",)
    shortest_interval = 0.0
    endless = True
    simulated = True
    budget_left = None

    def __init__(
        self,
        feed: str,
        step: float,
        seed: int,
        host: str,
        *,
        gpus: Sequence[Gpu] = GPUS,
        longest_gap: float = SHORTEST_GAP,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`step` is the time between two events of one GPU, in seconds."""
        self.feed = feed
        self._event = self._metrics if feed == METRICS else self._usage
        self._step = step
        self._seed = seed
        self._host = host
        self._gpus = gpus
        self._longest_gap = longest_gap
        self._clock = clock
        self._next = math.floor(clock() / step)
        self._told = (self._next - 1) * step
        self._set_back: int | None = None

    def pace(self, rate: float, interval: float) -> float:
        """From the next event on, use the interval for metrics, or the rate for requests."""
        step = step_of(self.feed, rate, interval, len(self._gpus))
        if step != self._step:
            self._next = math.floor(self._told / step) + 1
            self._step = step
        self._longest_gap = gap(interval)
        return len(self._gpus) / step

    def fetch(self, unit: str) -> Batch:  # noqa: ARG002 - there is one unit
        """Return the events that are due."""
        now = self._clock()
        last = math.floor(now / self._step)
        if self._told - now > self._longest_gap:
            # The clock was set back: the same times come again, with other events.
            self._next, self._set_back = last, int(now)
        first = max(self._next, last - math.floor(self._longest_gap / self._step))
        if last >= self._next:
            self._next, self._told = last + 1, last * self._step
        found = [
            one
            for number in range(first, last + 1)
            for gpu in self._gpus
            for one in self._event(gpu, number, now)
        ]
        return Batch([event for event in found if not isinstance(event, Rejected)], simulated=True)

    def load(self, gpu: Gpu, at: float) -> float:
        """The load of a GPU at a time (seconds since 1970), in percent."""
        turn = 2 * math.pi * (at / DAY_SECONDS - BUSIEST_HOUR / 24)
        load = 55 + 25 * math.cos(turn)
        for seconds, swing in TURNS:
            load += swing * noise.smooth(self._name(gpu, f"load/{seconds}"), at / seconds)
        return min(max(load, 0.0), 100.0)

    def power(self, gpu: Gpu, at: float) -> float:
        """Power in watts at a time."""
        return gpu.idle_watts + (gpu.most_watts - gpu.idle_watts) * self.load(gpu, at) / 100

    def temperature(self, gpu: Gpu, at: float) -> float:
        """Degrees Celsius at a time: a weighted average of past power, most recent first."""
        step = 4 * HEAT_SECONDS / HEAT_STEPS
        weights = [math.exp(-n * step / HEAT_SECONDS) for n in range(HEAT_STEPS)]
        heat = sum(w * self.power(gpu, at - n * step) for n, w in enumerate(weights))
        return AMBIENT + DEGREES_PER_WATT * heat / sum(weights)

    def _metrics(self, gpu: Gpu, number: int, now: float) -> Sequence[Event | Rejected]:
        at = number * self._step
        readings = {
            "host": self._host,
            "gpu_index": gpu.index,
            "name": gpu.name,
            "utilization": float(round(self.load(gpu, at))),
            "mem_used_mb": float(gpu.model_memory + round(20 * self.load(gpu, at))),
            "mem_total_mb": float(gpu.memory),
            "power_w": round(self.power(gpu, at), 2),
            "temp_c": float(round(self.temperature(gpu, at))),
        }
        return metrics(
            "workload",
            readings,
            None,
            now,
            simulated=True,
            observed_at=self._time(number),
            story=self._story(),
        )

    def _usage(self, gpu: Gpu, number: int, now: float) -> Sequence[Event | Rejected]:
        at = number * self._step
        spread = 1 + noise.at(self._name(gpu, "request"), number) / 2
        tokens = gpu.most_tokens * self.load(gpu, at) / 100 * self._step * spread
        completion = round(tokens * (1 - PROMPT_SHARE))
        used = {
            "model": gpu.model,
            "prompt_tokens": round(tokens * PROMPT_SHARE),
            "completion_tokens": completion,
            "latency_ms": round(80 + 1000 * completion / 60, 1),
        }
        place = ServingGpu(self._host, gpu.index, gpu.name)
        event = usage(
            "workload",
            place,
            used,
            "/".join(map(str, (number, *self._story()))),
            now,
            simulated=True,
            observed_at=self._time(number),
        )
        return [event]

    def _name(self, gpu: Gpu, what: str) -> str:
        return f"{self._seed}/{self._host}/{gpu.index}/{what}"

    def _story(self) -> tuple[int, ...]:
        """Distinguishes an event from those of other seeds with the same GPU, time and number."""
        return (self._seed, *([] if self._set_back is None else [self._set_back]))

    def _time(self, number: int) -> datetime:
        return datetime.fromtimestamp(math.floor(number * self._step * 1000) / 1000, UTC)


def from_settings(settings: Settings) -> Workload:
    """The configured source: metrics at the interval, or requests at the rate."""
    interval, feed = settings.producer_interval_seconds, settings.producer_feed
    return Workload(
        feed,
        step_of(feed, settings.producer_rate_per_second, interval, len(GPUS)),
        settings.producer_seed,
        settings.producer_host or "gpu-1",
        longest_gap=gap(interval),
    )


def step_of(feed: str, rate: float, interval: float, gpus: int) -> float:
    """Seconds between events of one GPU: the interval for metrics, from the rate for requests."""
    return interval if feed == METRICS else gpus / rate
