"""NVML: the GPUs of this host, from NVIDIA's driver.

Power is in milliwatts, energy in millijoules and memory in bytes. Readings that a GPU or its driver
does not support, does not know or does not let this process read are null; a failing GPU is
rejected, and the others are not. The library is opened for each poll, because the driver may be
replaced while the producer runs.
"""

import time
from collections.abc import Callable
from typing import Any

import pynvml

from millrace.config import Settings
from millrace.feeds.gpu_metrics import GpuMetrics
from millrace.sources.base import Batch, Permanent, Rejected, Transient
from millrace.sources.gpus import UNKNOWN, ServingGpu, batch, metrics

MEBIBYTE = 1024 * 1024
MILLI = 1000
NOT_AVAILABLE = (2**32 - 1, 2**64 - 1)
"""NVML_VALUE_NOT_AVAILABLE, which is -1, as unsigned numbers."""


class Nvml:
    """The source: one poll reads all GPUs."""

    feed = "gpu_metrics"
    units: tuple[str, ...] = ("gpus",)
    shortest_interval = 0.0
    endless = True
    simulated = False
    budget_left = None

    def __init__(
        self, place: ServingGpu, library: Any = pynvml, clock: Callable[[], float] = time.time
    ) -> None:
        self._place = place
        self._library = library
        self._clock = clock

    def fetch(self, unit: str) -> Batch:  # noqa: ARG002 - there is one unit
        """The metrics of every GPU."""
        library = self._library
        try:
            library.nvmlInit()
        except (library.NVMLError_LibraryNotFound, library.NVMLError_DriverNotLoaded) as error:
            raise Permanent(f"there is no NVIDIA driver here: {error}") from None
        except library.NVMLError as error:
            raise Transient(f"NVML does not start: {error}") from None
        try:
            count = library.nvmlDeviceGetCount()
            found = [one for number in range(count) for one in self._gpu(number)]
        except library.NVMLError as error:
            raise Transient(f"NVML: {error}") from None
        finally:
            library.nvmlShutdown()
        return batch(found, simulated=False)

    def _gpu(self, number: int) -> list[GpuMetrics | Rejected]:
        library, host = self._library, self._place.host
        try:
            handle = library.nvmlDeviceGetHandleByIndex(number)
            used, total = self._memory(handle)
            utilization = self._read(library.nvmlDeviceGetUtilizationRates, handle)
            readings = {
                "host": host,
                "gpu_index": number,
                "name": self._read(library.nvmlDeviceGetName, handle) or UNKNOWN,
                "uuid": self._read(library.nvmlDeviceGetUUID, handle),
                "utilization": None if utilization is None else _known(utilization.gpu),
                "mem_used_mb": used,
                "mem_total_mb": total,
                "power_w": self._thousandth(library.nvmlDeviceGetPowerUsage, handle),
                "temp_c": self._read(
                    library.nvmlDeviceGetTemperature, handle, library.NVML_TEMPERATURE_GPU
                ),
                "energy_j": self._thousandth(library.nvmlDeviceGetTotalEnergyConsumption, handle),
            }
        except library.NVMLError as error:
            return [Rejected(f"{host}/{number}", f"NVML: {error}")]
        return metrics("nvml", readings, self._place.price_per_hour, self._clock(), simulated=False)

    def _memory(self, handle: Any) -> tuple[float | None, float | None]:
        library = self._library
        # Version 1 of the structure counts the driver's reserved memory as used; nvidia-smi and
        # DCGM do not. Drivers before 510 have no other version.
        memory = self._read(
            library.nvmlDeviceGetMemoryInfo, handle, library.nvmlMemory_v2
        ) or self._read(library.nvmlDeviceGetMemoryInfo, handle)
        if memory is None:
            return None, None
        used, total = _known(memory.used), _known(memory.total)
        return (
            None if used is None else used / MEBIBYTE,
            None if total is None else total / MEBIBYTE,
        )

    def _thousandth(self, read: Callable[..., Any], handle: Any) -> float | None:
        value = _known(self._read(read, handle))
        return None if value is None else value / MILLI

    def _read(self, read: Callable[..., Any], *arguments: Any) -> Any:
        """The reading; None if the GPU or the driver does not provide it."""
        library = self._library
        try:
            return read(*arguments)
        except (
            library.NVMLError_NotSupported,
            library.NVMLError_FunctionNotFound,
            library.NVMLError_NoPermission,
            library.NVMLError_NoData,
            library.NVMLError_Unknown,
        ):
            return None


def _known(value: Any) -> Any:
    return None if value in NOT_AVAILABLE else value


def from_settings(settings: Settings) -> Nvml:
    """The configured source."""
    return Nvml(ServingGpu.from_settings(settings))
