"""GPUs from a Prometheus exporter: each poll reads one page."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from millrace.feeds.gpu_metrics import GpuMetrics
from millrace.runtime.redaction import shown
from millrace.sources.base import Batch, Rejected, Transient
from millrace.sources.gpus import ServingGpu, batch
from millrace.sources.scrape import Exporter, Sample

ALONE = "give each host its own URL"


class Normalise(Protocol):
    """A function that reads the pages of one exporter."""

    def __call__(
        self, samples: Sequence[Sample], place: ServingGpu, now: float, *, simulated: bool
    ) -> list[GpuMetrics | Rejected]:
        """An event of each GPU in the samples; `now` is in seconds since 1970."""


class GpuExporter:
    """The source: one poll reads the exporter's page."""

    feed = "gpu_metrics"
    units: tuple[str, ...] = ("metrics",)
    shortest_interval = 0.0
    endless = True
    simulated = False
    budget_left = None

    def __init__(
        self,
        exporter: Exporter,
        place: ServingGpu,
        normalise: Normalise,
        empty: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`empty` is the message for a page without GPUs."""
        self._exporter = exporter
        self._place = place
        self._normalise = normalise
        self._empty = empty
        self._clock = clock

    def fetch(self, unit: str) -> Batch:  # noqa: ARG002 - there is one unit
        """The metrics of every GPU on the page."""
        page = self._exporter.scrape()
        found = self._normalise(page.samples, self._place, self._clock(), simulated=page.simulated)
        if not found:
            raise Transient(self._empty)
        return batch(_distinct(found), simulated=page.simulated)


def _distinct(found: Sequence[GpuMetrics | Rejected]) -> Iterator[GpuMetrics | Rejected]:
    """The same without GPUs that share a number with another one."""
    times = Counter(one.event_id for one in found if not isinstance(one, Rejected))
    for one in found:
        if not isinstance(one, Rejected) and times[one.event_id] > 1:
            yield Rejected(shown(one.symbol), f"several GPUs of the page have its number: {ALONE}")
        else:
            yield one
