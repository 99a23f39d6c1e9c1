"""Feed `gpu_metrics`: utilization, memory, power and temperature of a host's GPUs.

Field names are those of the first design: `mem_used_mb` and `mem_total_mb` are in MiB. Readings
that a GPU does not support are null, never 0.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal

import msgspec

from millrace.events import CLOCKS, Event
from millrace.feeds.base import Feed, Index, Meta, with_envelope
from millrace.feeds.gpus import GPUS, GpuIndex, GpuName, Host, HourlyPrice, price_at
from millrace.feeds.history import Nothing

Percent = Annotated[float, msgspec.Meta(ge=0, le=100)]
Mebibytes = Annotated[float, msgspec.Meta(ge=0, le=1e9)]
Watts = Annotated[float, msgspec.Meta(ge=0, le=1e5)]
Celsius = Annotated[float, msgspec.Meta(ge=-50, le=200)]
Joules = Annotated[float, msgspec.Meta(ge=0, le=1e15)]


READINGS = ("utilization", "mem_used_mb", "mem_total_mb", "power_w", "temp_c", "energy_j")
"""The readings; unknown ones are null."""


class GpuMetrics(Event, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Readings of a GPU: percent, MiB, watts, degrees Celsius, joules since its driver started."""

    feed: Literal["gpu_metrics"]
    host: Host
    gpu_index: GpuIndex
    name: GpuName
    uuid: GpuName | None = None
    utilization: Percent | None
    mem_used_mb: Mebibytes | None
    mem_total_mb: Mebibytes | None
    power_w: Watts | None
    temp_c: Celsius | None = None
    energy_j: Joules | None = None
    price_per_hour_usd: HourlyPrice | None = None

    def __post_init__(self) -> None:
        """Refuse a symbol that contradicts the fields."""
        if self.symbol != f"{self.host}/{self.gpu_index}":
            raise ValueError("the symbol is not host/gpu_index")


def symbol_of(fields: Mapping[str, Any]) -> str:
    """The symbol of an event with these fields."""
    return f"{fields['host']}/{fields['gpu_index']}"


def derive(event: GpuMetrics, _history: Nothing) -> Meta:
    """The memory usage in percent, and the GPU's price per hour."""
    used, total = event.mem_used_mb, event.mem_total_mb
    price = event.price_per_hour_usd
    return {
        "mem_used_pct": 100 * used / total if used is not None and total else None,
        "price_per_hour_usd": price_at(event.name, event.observed_at) if price is None else price,
    }


def document(event: GpuMetrics, meta: Meta) -> dict[str, Any]:
    """The document of a GPU's metrics."""
    own = {
        "host": event.host,
        "gpu_index": event.gpu_index,
        "name": event.name,
        "uuid": event.uuid,
        "utilization": event.utilization,
        "mem_used_mb": event.mem_used_mb,
        "mem_total_mb": event.mem_total_mb,
        "power_w": event.power_w,
        "temp_c": event.temp_c,
        "energy_j": event.energy_j,
        "price_per_hour_usd": event.price_per_hour_usd,
        "ts": event.observed_at,
    }
    return with_envelope(event, own, meta)


GPU_METRICS = Feed(
    name="gpu_metrics",
    event_type=GpuMetrics,
    topic="gpu.metrics.v1",
    partitions=3,
    collection="gpu_metrics",
    indexes=(
        *Feed.indexes,
        Index((("ts", 1),)),
        Index((("host", 1), ("gpu_index", 1))),
    ),
    window=timedelta(0),
    ahead=CLOCKS,
    history=Nothing,
    value=lambda _event: (),
    stored_value=(),
    derive=derive,
    document=document,
    symbol_of=symbol_of,
    reference=GPUS,
)
