"""DCGM: the GPUs of one or more hosts, from NVIDIA's exporter.

Memory is in MiB, power in watts and energy in millijoules. A reading that the exporter does not
show, or shows as no number or as one of DCGM's blanks, is null. Series of other devices (switches,
links, CPUs) are ignored.

For a GPU with MIG instances the exporter shows the activity of its engines, as a fraction, instead
of its utilisation; or it shows only the instances. The instances' values are not used as the GPU's:
power, temperature and energy are the GPU's, which each instance repeats, and memory is the sum of
the instances'. The GPU's utilisation is then unknown.

Names and labels differ between versions and options of the exporter.
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

PREFIX = "DCGM_FI_"
UTILIZATION, ENGINES = PREFIX + "DEV_GPU_UTIL", PREFIX + "PROF_GR_ENGINE_ACTIVE"
USED, FREE = PREFIX + "DEV_FB_USED", PREFIX + "DEV_FB_FREE"
RESERVED, TOTAL = PREFIX + "DEV_FB_RESERVED", PREFIX + "DEV_FB_TOTAL"
POWER, TEMPERATURE = PREFIX + "DEV_POWER_USAGE", PREFIX + "DEV_GPU_TEMP"
ENERGY = PREFIX + "DEV_TOTAL_ENERGY_CONSUMPTION"
NAMES = frozenset({UTILIZATION, ENGINES, USED, FREE, RESERVED, TOTAL, POWER, TEMPERATURE, ENERGY})
NAMES_BEFORE_2 = {
    "dcgm_gpu_utilization": UTILIZATION,
    "dcgm_fi_prof_gr_engine_active": ENGINES,
    "dcgm_fb_used": USED,
    "dcgm_fb_free": FREE,
    "dcgm_power_usage": POWER,
    "dcgm_gpu_temp": TEMPERATURE,
    "dcgm_total_energy_consumption": ENERGY,
}
"""Names of versions before 2, and of later ones in compatibility mode."""
HOST_LABELS = ("Hostname", "hostname")
UUID_LABELS = ("UUID", "uuid", "gpu_uuid")
OF_AN_INSTANCE = "MIG-"
NAME_LABELS = ("modelName", "model_name")
MILLI = 1000
REASONS = 16
"""Number of values after each blank that give a reason: not found, not supported, not permitted."""
BLANKS = (0x7FFFFFF0, 0xFFFFFFF0)
"""The 32-bit blank, and its value if the sign is lost."""
LARGE_BLANK = 2.0**47
"""The blank of floating-point numbers; the 64-bit one is larger."""
ONE_EACH = "give each host its own URL, or each series the label Hostname"
EMPTY = "the page has no GPU of DCGM: its exporter starts yet, or the URL is wrong"


def from_settings(settings: Settings) -> GpuExporter:
    """The configured source."""
    exporter, place = Exporter.from_settings(settings), ServingGpu.from_settings(settings)
    return GpuExporter(exporter, place, normalise, EMPTY)


def normalise(
    samples: Sequence[Sample], place: ServingGpu, now: float, *, simulated: bool
) -> list[GpuMetrics | Rejected]:
    """An event of each GPU in the samples; implausible ones are rejected."""
    labels: dict[tuple[str, str], dict[str, str]] = {}
    values: dict[tuple[str, str], dict[str, float]] = {}
    parts: dict[tuple[str, str], dict[str, dict[str, float]]] = {}
    uuids: dict[tuple[str, str], set[str]] = {}
    for sample in samples:
        # The parser adds OpenMetrics' suffix to the names of counters; the exporter does not.
        name = sample.name.removesuffix("_total")
        name = NAMES_BEFORE_2.get(name, name)
        number = sample.labels.get("gpu", "")
        if name not in NAMES or not (number or _label(sample.labels, UUID_LABELS)):
            continue
        gpu = (_label(sample.labels, HOST_LABELS) or place.host, number)
        uuid = _label(sample.labels, UUID_LABELS)
        if number and uuid and not uuid.startswith(OF_AN_INSTANCE):
            uuids.setdefault(gpu, set()).add(uuid)
        instance = sample.labels.get("GPU_I_ID")
        if instance:
            labels[gpu] = sample.labels | labels.get(gpu, {})
            readings = parts.setdefault(gpu, {}).setdefault(instance, {})
        else:
            labels[gpu] = labels.get(gpu, {}) | sample.labels
            readings = values.setdefault(gpu, {})
        if not is_blank(sample.value):
            readings[name] = sample.value
    values |= {gpu: whole(parts[gpu]) for gpu in parts if gpu not in values}
    mixed = {gpu: sorted(several)[:2] for gpu, several in uuids.items() if len(several) > 1}
    rejected = [
        Rejected(shown(f"{host}/{number}"), f"it is {shown(one)} and {shown(another)}: {ONE_EACH}")
        for (host, number), (one, another) in mixed.items()
    ]
    return rejected + [
        one
        for (host, number), found in values.items()
        if (host, number) not in mixed
        for one in _events(host, number, labels[host, number], found, place, now, simulated)
    ]


def whole(instances: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """The readings of a GPU as far as its MIG instances have them."""
    said = list(instances.values())
    shared = {
        name: one[name] for name in (POWER, TEMPERATURE, ENERGY) for one in said if name in one
    }
    sums = {
        name: sum(one[name] for one in said)
        for name in (USED, FREE, RESERVED, TOTAL)
        if all(name in one for one in said)
    }
    return shared | sums


def is_blank(value: float) -> bool:
    """Whether the number is a blank of DCGM."""
    return value >= LARGE_BLANK or any(blank <= value < blank + REASONS for blank in BLANKS)


def _label(labels: Mapping[str, str], names: Sequence[str]) -> str | None:
    return next((labels[name] for name in names if labels.get(name)), None)


def _events(
    host: str,
    number: str,
    labels: dict[str, str],
    values: dict[str, float],
    place: ServingGpu,
    now: float,
    simulated: bool,
) -> list[GpuMetrics | Rejected]:
    if not number.isascii() or not number.isdecimal():
        return [Rejected(shown(f"{host}/{number}"), "the label gpu is no number")]
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
        "name": _label(labels, NAME_LABELS) or place.gpu_name or UNKNOWN,
        "uuid": _label(labels, UUID_LABELS),
        "utilization": utilization,
        "mem_used_mb": values.get(USED),
        "mem_total_mb": total,
        "power_w": values.get(POWER),
        "temp_c": values.get(TEMPERATURE),
        "energy_j": None if energy is None else energy / MILLI,
    }
    return metrics("dcgm", readings, place.price_per_hour, now, simulated=simulated)
