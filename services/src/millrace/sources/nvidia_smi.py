"""nvidia_smi: the GPUs of a host from nvidia_gpu_exporter, which uses nvidia-smi or NVML.

Fractions are of 1, memory is in bytes, power in watts, energy in joules. Each series names its GPU
by the UUID, without the driver's prefix; one series with the constant value 1 has name and number
as labels. Older versions have the number in a separate series. Unsupported readings have no series.
MIG instances have series of other names, which are ignored.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from millrace.config import Settings
from millrace.feeds.gpu_metrics import GpuMetrics
from millrace.runtime.redaction import shown
from millrace.sources.base import Rejected
from millrace.sources.gpu_exporter import GpuExporter
from millrace.sources.gpus import UNKNOWN, ServingGpu, metrics
from millrace.sources.scrape import Exporter, Sample

PREFIX = "nvidia_smi_"
INFO, INDEX = PREFIX + "gpu_info", PREFIX + "index"
UTILIZATION = PREFIX + "utilization_gpu_ratio"
USED, TOTAL = PREFIX + "memory_used_bytes", PREFIX + "memory_total_bytes"
POWERS = tuple(PREFIX + f"power_draw_{kind}watts" for kind in ("", "average_", "instant_"))
"""Drivers' names for the power of the last second; the first existing one is used."""
TEMPERATURE, ENERGY = PREFIX + "temperature_gpu", PREFIX + "energy_joules_total"
NAMES = frozenset({INFO, INDEX, UTILIZATION, USED, TOTAL, *POWERS, TEMPERATURE, ENERGY})
MEBIBYTE = 1024 * 1024
_OF_A_GPU = "GPU-"
EMPTY = (
    "the page has no GPU of nvidia_gpu_exporter: nvidia-smi fails there, the exporter starts yet,"
    " or the URL is wrong"
)


def from_settings(settings: Settings) -> GpuExporter:
    """The configured source."""
    exporter, place = Exporter.from_settings(settings), ServingGpu.from_settings(settings)
    return GpuExporter(exporter, place, normalise, EMPTY)


def normalise(
    samples: Sequence[Sample], place: ServingGpu, now: float, *, simulated: bool
) -> list[GpuMetrics | Rejected]:
    """An event of each GPU in the samples; implausible ones are rejected."""
    values: dict[str, dict[str, float]] = {}
    labels: dict[str, dict[str, str]] = {}
    for name, found, value in samples:
        uuid = found.get("uuid")
        if uuid and name in NAMES:
            values.setdefault(uuid, {})[name] = value
            if name == INFO:
                labels[uuid] = found
    return [
        one
        for uuid, readings in values.items()
        for one in _events(uuid, labels.get(uuid, {}), readings, place, now, simulated)
    ]


def _events(
    uuid: str,
    labels: Mapping[str, str],
    values: Mapping[str, float],
    place: ServingGpu,
    now: float,
    simulated: bool,
) -> list[GpuMetrics | Rejected]:
    number = labels.get("index") or f"{values.get(INDEX, -1.0):.0f}"
    if not number.isascii() or not number.isdecimal():
        return [Rejected(shown(f"{place.host}/{uuid}"), "no series says the number of the GPU")]
    utilization = values.get(UTILIZATION)
    used, total = values.get(USED), values.get(TOTAL)
    readings: dict[str, Any] = {
        "host": place.host,
        "gpu_index": int(number[:9]),
        "name": labels.get("name") or place.gpu_name or UNKNOWN,
        "uuid": uuid if uuid.startswith(_OF_A_GPU) else _OF_A_GPU + uuid,
        # Hundredths are not exact in binary.
        "utilization": None if utilization is None else round(100 * utilization, 6),
        "mem_used_mb": None if used is None else used / MEBIBYTE,
        "mem_total_mb": None if total is None else total / MEBIBYTE,
        "power_w": next((values[name] for name in POWERS if name in values), None),
        "temp_c": values.get(TEMPERATURE),
        "energy_j": values.get(ENERGY),
    }
    return metrics("nvidia_smi", readings, place.price_per_hour, now, simulated=simulated)
