"""Workload: metrics or token usage of two simulated GPUs that serve language models.

Everything is a function of seed, GPU and time, so that every producer generates the same, also
after a restart. What the GPUs do is in `invented/gpus.py`: producers of both feeds that have the
same seed and host tell of the same GPUs.
"""

import math
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from millrace.config import Settings
from millrace.events import Event
from millrace.invented import noise
from millrace.invented.gpus import GPUS, Gpu, Gpus
from millrace.sources.base import SHORTEST_GAP, Batch, Rejected, gap
from millrace.sources.gpus import ServingGpu, metrics, usage

METRICS, TOKENS = "gpu_metrics", "token_usage"
PROMPT_SHARE = 0.7
EARLIEST = 0.8
"""How long before its event a request may have ended, as a fraction of the time between two."""
SECOND_FORM = 2
"""Of the ids of requests, because requests of the first form had other tokens."""


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
        self.invented = Gpus(seed, host)
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

    def _metrics(self, gpu: Gpu, number: int, now: float) -> Sequence[Event | Rejected]:
        at = number * self._step
        readings = {
            "host": self.invented.host,
            "gpu_index": gpu.index,
            "name": gpu.name,
            "utilization": float(round(self.invented.load(gpu, at))),
            "mem_used_mb": self.invented.memory(gpu, at),
            "mem_total_mb": float(gpu.memory),
            "power_w": round(self.invented.power(gpu, at), 2),
            "temp_c": float(round(self.invented.temperature(gpu, at))),
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
        tokens = self.invented.tokens(gpu, self._end(gpu, number - 1), self._end(gpu, number))
        completion = round(tokens * (1 - PROMPT_SHARE))
        used = {
            "model": gpu.model,
            "prompt_tokens": round(tokens * PROMPT_SHARE),
            "completion_tokens": completion,
            "latency_ms": round(80 + 1000 * completion / 60, 1),
        }
        place = ServingGpu(self.invented.host, gpu.index, gpu.name)
        event = usage(
            "workload",
            place,
            used,
            "/".join(map(str, (SECOND_FORM, number, *self._story()))),
            now,
            simulated=True,
            observed_at=self._time(number),
        )
        return [event]

    def _end(self, gpu: Gpu, number: int) -> float:
        """When a request ended. Tokens are those since the end before: none is told twice."""
        early = EARLIEST * (1 + noise.at(self.invented.name(gpu, "request"), number)) / 2
        return (number - early) * self._step

    def _story(self) -> tuple[int, ...]:
        """Distinguishes an event from those of other seeds with the same GPU, time and number."""
        return (self.invented.seed, *([] if self._set_back is None else [self._set_back]))

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
