"""nvml: units and errors, at the boundary of the library, whose driver is not here."""

import inspect
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pynvml
import pytest

from millrace.config import Settings
from millrace.feeds.gpu_metrics import GpuMetrics
from millrace.sources.base import Permanent, Rejected, Transient
from millrace.sources.gpus import ServingGpu
from millrace.sources.nvml import Nvml, from_settings

NOW = 1_790_000_000.123


class Library:
    """NVML with one GPU, whose answers a test replaces. The errors are the real ones."""

    NVMLError = pynvml.NVMLError
    NVML_TEMPERATURE_GPU = pynvml.NVML_TEMPERATURE_GPU
    NO_GPU = ("Init", "DeviceGetCount", "DeviceGetHandleByIndex")
    nvmlMemory_v2 = pynvml.nvmlMemory_v2  # noqa: N815 - the name that the library has

    def __init__(self, **answers: Any) -> None:
        self.open = 0
        self.handles: list[Any] = []
        self._answers = {
            "Init": None,
            "DeviceGetCount": 1,
            "DeviceGetHandleByIndex": "handle",
            "DeviceGetName": "NVIDIA GeForce RTX 3090",
            "DeviceGetUUID": "GPU-1f2e",
            "DeviceGetUtilizationRates": SimpleNamespace(gpu=71, memory=12),
            "DeviceGetMemoryInfo": SimpleNamespace(total=24576 << 20, used=9012 << 20, free=1),
            "DeviceGetPowerUsage": 281_440,
            "DeviceGetTemperature": lambda _handle, sensor: {pynvml.NVML_TEMPERATURE_GPU: 66}[
                sensor
            ],
            "DeviceGetTotalEnergyConsumption": 1_500_000,
            **answers,
        }

    def __getattr__(self, name: str) -> Any:
        if name.startswith("NVMLError_"):
            return getattr(pynvml, name)
        signature = inspect.signature(getattr(pynvml, name))
        answer = name.removeprefix("nvml")
        return lambda *arguments: self._answer(answer, signature.bind(*arguments).args)

    def _answer(self, name: str, arguments: tuple[Any, ...]) -> Any:
        answer = self._answers[name]
        if name not in self.NO_GPU:
            assert arguments[0] in self.handles, "of which GPU?"
        found = answer(*arguments) if callable(answer) else answer
        if isinstance(found, Exception):
            raise found
        if name == "DeviceGetHandleByIndex":
            self.handles.append(found)
        return found

    def nvmlInit(self) -> None:  # noqa: N802 - the library's name
        self._answer("Init", ())
        self.open += 1

    def nvmlShutdown(self) -> None:  # noqa: N802 - the library's name
        self.open -= 1


@pytest.mark.parametrize(
    ("answer", "structure"),
    [
        ("DeviceGetUtilizationRates", pynvml.c_nvmlUtilization_t),
        ("DeviceGetMemoryInfo", pynvml.c_nvmlMemory_t),
    ],
)
def test_what_stands_for_an_answer_has_its_fields(answer: str, structure: Any) -> None:
    assert {*vars(Library()._answers[answer])} == {name for name, _ in structure._fields_}


def error(code: int) -> Exception:
    found: Exception = pynvml.NVMLError(code)
    return found


def source(library: Library) -> Nvml:
    return Nvml(ServingGpu("box"), library, lambda: NOW)


def test_a_gpu_has_our_units() -> None:
    library = Library()
    (event,) = source(library).fetch("gpus").events
    assert isinstance(event, GpuMetrics)
    assert (event.symbol, event.name, event.uuid) == (
        "box/0",
        "NVIDIA GeForce RTX 3090",
        "GPU-1f2e",
    )
    assert (event.utilization, event.mem_used_mb, event.mem_total_mb) == (71, 9012, 24576)
    assert (event.power_w, event.temp_c, event.energy_j) == (281.44, 66, 1500)
    assert event.price_per_hour_usd == 0.85
    assert event.observed_at.timestamp() == NOW
    assert library.open == 0


def test_what_is_read_is_real_and_costs_what_is_configured(
    settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = from_settings(settings(producer_host="box", producer_gpu_price_per_hour=0.25))
    monkeypatch.setattr(made, "_library", Library())
    batch = made.fetch("gpus")
    (event,) = batch.events
    assert isinstance(event, GpuMetrics)
    assert (event.symbol, event.price_per_hour_usd) == ("box/0", 0.25)
    assert (event.source, event.simulated, batch.simulated) == ("nvml", False, False)


def test_what_the_driver_keeps_for_itself_is_not_used() -> None:
    def memory(_handle: str, version: int | None = None) -> object:
        assert version == pynvml.nvmlMemory_v2
        return SimpleNamespace(total=81559 << 20, reserved=480 << 20, used=0, free=81079 << 20)

    (event,) = source(Library(DeviceGetMemoryInfo=memory)).fetch("gpus").events
    assert isinstance(event, GpuMetrics)
    assert (event.mem_used_mb, event.mem_total_mb) == (0, 81559)


def test_an_older_driver_answers_in_the_first_form() -> None:
    def memory(_handle: str, version: int | None = None) -> object:
        if version is not None:
            return error(pynvml.NVML_ERROR_FUNCTION_NOT_FOUND)
        return SimpleNamespace(total=24576 << 20, used=9012 << 20, free=1)

    (event,) = source(Library(DeviceGetMemoryInfo=memory)).fetch("gpus").events
    assert isinstance(event, GpuMetrics)
    assert (event.mem_used_mb, event.mem_total_mb) == (9012, 24576)


def test_what_is_not_supported_is_null() -> None:
    unsupported = error(pynvml.NVML_ERROR_NOT_SUPPORTED)
    names = ("UUID", "UtilizationRates", "MemoryInfo", "PowerUsage", "Temperature")
    answers = {f"DeviceGet{name}": unsupported for name in (*names, "TotalEnergyConsumption")}
    (event,) = source(Library(**answers)).fetch("gpus").events
    assert isinstance(event, GpuMetrics)
    assert event.uuid is None
    assert event.utilization is event.mem_used_mb is event.mem_total_mb is None
    assert event.power_w is event.temp_c is event.energy_j is None


@pytest.mark.parametrize(
    "answer",
    [
        error(pynvml.NVML_ERROR_UNKNOWN),
        error(pynvml.NVML_ERROR_NO_PERMISSION),
        error(pynvml.NVML_ERROR_NO_DATA),
        pynvml.NVML_VALUE_NOT_AVAILABLE_uint.value,
        pynvml.NVML_VALUE_NOT_AVAILABLE_ulonglong.value,
    ],
)
def test_one_reading_that_is_not_known_is_null_and_the_rest_is_kept(answer: Any) -> None:
    batch = source(Library(DeviceGetPowerUsage=answer)).fetch("gpus")
    (event,) = batch.events
    assert isinstance(event, GpuMetrics)
    assert (event.power_w, event.utilization, event.energy_j) == (None, 71, 1500)
    assert not batch.rejected


def test_a_reading_that_cannot_be_is_null_and_said() -> None:
    batch = source(Library(DeviceGetTemperature=-300)).fetch("gpus")
    (event,) = batch.events
    assert isinstance(event, GpuMetrics)
    assert (event.temp_c, event.utilization) == (None, 71)
    (rejected,) = batch.rejected
    assert "temp_c" in rejected.reason


def test_memory_that_is_not_known_is_null() -> None:
    unknown = SimpleNamespace(total=2**64 - 1, used=2**64 - 1, free=1)
    batch = source(Library(DeviceGetMemoryInfo=unknown)).fetch("gpus")
    (event,) = batch.events
    assert isinstance(event, GpuMetrics)
    assert event.mem_used_mb is event.mem_total_mb is None
    assert not batch.rejected


def test_a_gpu_without_a_name_is_unknown() -> None:
    library = Library(DeviceGetName=error(pynvml.NVML_ERROR_UNKNOWN))
    (event,) = source(library).fetch("gpus").events
    assert isinstance(event, GpuMetrics)
    assert event.name == "unknown"


def test_a_gpu_that_is_lost_is_rejected_and_the_others_are_read() -> None:
    def handle(number: int) -> object:
        return error(pynvml.NVML_ERROR_GPU_IS_LOST) if number == 1 else number

    batch = source(Library(DeviceGetCount=3, DeviceGetHandleByIndex=handle)).fetch("gpus")
    assert [event.symbol for event in batch.events] == ["box/0", "box/2"]
    assert batch.rejected == [Rejected("box/1", "NVML: GPU is lost")]


@pytest.mark.parametrize(
    "code", [pynvml.NVML_ERROR_LIBRARY_NOT_FOUND, pynvml.NVML_ERROR_DRIVER_NOT_LOADED]
)
def test_without_a_driver_the_error_says_so(code: int) -> None:
    with pytest.raises(Permanent, match="no NVIDIA driver"):
        source(Library(Init=error(code))).fetch("gpus")


def test_another_error_may_pass_and_the_library_is_closed() -> None:
    with pytest.raises(Transient, match=r"^NVML does not start: Unknown Error$"):
        source(Library(Init=error(pynvml.NVML_ERROR_UNKNOWN))).fetch("gpus")
    library = Library(DeviceGetCount=error(pynvml.NVML_ERROR_UNKNOWN))
    with pytest.raises(Transient, match=r"^NVML: Unknown Error$"):
        source(library).fetch("gpus")
    assert library.open == 0


def test_the_real_library_says_that_there_is_no_driver_where_there_is_none() -> None:
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError_LibraryNotFound:
        with pytest.raises(Permanent, match="no NVIDIA driver"):
            Nvml(ServingGpu("box")).fetch("gpus")
    else:
        pynvml.nvmlShutdown()
        assert Nvml(ServingGpu("box")).fetch("gpus").events
