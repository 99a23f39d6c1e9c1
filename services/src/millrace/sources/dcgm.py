"""DCGM: the GPUs of a host, or of several, as NVIDIA's exporter shows them.

Memory comes in MiB, power in watts and energy in millijoules. What the exporter does not show, or
shows as no number, is null. Samples of MIG instances are left out: of a GPU that is divided the
exporter shows how busy its engines are, a fraction, in place of its utilisation.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any

from millrace.config import Settings
from millrace.feeds.gpu_metrics import GpuMetrics
from millrace.redaction import shown
from millrace.sources.base import Batch, Permanent, Rejected
from millrace.sources.gpus import Place, batch, metrics
from millrace.sources.scrape import Exporter, Sample

PREFIX = "DCGM_FI_"
UTILIZATION, ENGINES = "DEV_GPU_UTIL", "PROF_GR_ENGINE_ACTIVE"
USED, FREE, RESERVED, TOTAL = "DEV_FB_USED", "DEV_FB_FREE", "DEV_FB_RESERVED", "DEV_FB_TOTAL"
POWER, TEMPERATURE = "DEV_POWER_USAGE", "DEV_GPU_TEMP"
ENERGY = "DEV_TOTAL_ENERGY_CONSUMPTION"
MILLI = 1000


class Dcgm:
    """The source: one poll reads the exporter's page."""

    feed = "gpu_metrics"
    units: tuple[str, ...] = ("metrics",)
    shortest_interval = 0.0
    endless = True
    simulated = False
    budget_left = None

    def __init__(
        self, exporter: Exporter, place: Place, clock: Callable[[], float] = time.time
    ) -> None:
        self._exporter = exporter
        self._place = place
        self._clock = clock

    def fetch(self, unit: str) -> Batch:  # noqa: ARG002 - there is one unit
        """The metrics of every GPU on the page."""
        page = self._exporter.scrape()
        if not any(sample.name.startswith(PREFIX) for sample in page.samples):
            raise Permanent("the page has no metrics of DCGM: is the URL right?")
        found = normalise(page.samples, self._place, self._clock(), simulated=page.simulated)
        return batch(found, simulated=page.simulated)


def from_settings(settings: Settings) -> Dcgm:
    """The source as configured."""
    return Dcgm(Exporter.from_settings(settings), Place.from_settings(settings))


def normalise(
    samples: Sequence[Sample], place: Place, now: float, *, simulated: bool
) -> list[GpuMetrics | Rejected]:
    """An event of each GPU that the samples are about; one that cannot be believed is rejected."""
    labels: dict[tuple[str, str], dict[str, str]] = {}
    values: dict[tuple[str, str], dict[str, float]] = {}
    for sample in samples:
        if not sample.name.startswith(PREFIX) or sample.labels.get("GPU_I_ID"):
            continue
        gpu = (sample.labels.get("Hostname") or place.host, sample.labels.get("gpu", ""))
        labels.setdefault(gpu, sample.labels)
        # The parser ends the names of counters as OpenMetrics does; the exporter does not.
        name = sample.name.removeprefix(PREFIX).removesuffix("_total")
        values.setdefault(gpu, {})[name] = sample.value
    return [
        _event(host, number, labels[host, number], found, place, now, simulated)
        for (host, number), found in values.items()
    ]


def _event(
    host: str,
    number: str,
    labels: dict[str, str],
    values: dict[str, float],
    place: Place,
    now: float,
    simulated: bool,
) -> GpuMetrics | Rejected:
    if not number.isascii() or not number.isdecimal():
        return Rejected(shown(f"{host}/{number}"), "the label gpu is no number")
    utilization = values.get(UTILIZATION)
    if utilization is None and ENGINES in values:
        utilization = 100 * values[ENGINES]
    total = values.get(TOTAL)
    if total is None and USED in values and FREE in values:
        total = values[USED] + values[FREE] + values.get(RESERVED, 0.0)
    energy = values.get(ENERGY)
    readings: dict[str, Any] = {
        "host": host,
        "gpu_index": int(number[:9]),
        "name": labels.get("modelName", ""),
        "uuid": labels.get("UUID") or None,
        "utilization": utilization,
        "mem_used_mb": values.get(USED),
        "mem_total_mb": total,
        "power_w": values.get(POWER),
        "temp_c": values.get(TEMPERATURE),
        "energy_j": None if energy is None else energy / MILLI,
    }
    return metrics("dcgm", readings, place.price_per_hour, now, simulated=simulated)
