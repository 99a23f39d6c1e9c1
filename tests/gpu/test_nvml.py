"""The source `nvml` on a real GPU, next to what `nvidia-smi` says of it, idle and at work.

It needs a host with an NVIDIA driver, `nvidia-smi` and PyTorch, so it is not among the tests of
`make test`: `pytest -s tests/gpu`.
"""

import subprocess
import sys
import time
from collections.abc import Iterator

import msgspec
import pytest

from millrace.events import Event
from millrace.feeds.gpu_metrics import GpuMetrics
from millrace.sources.base import Batch
from millrace.sources.gpus import ServingGpu
from millrace.sources.nvml import Nvml

FIELDS = (
    "index",
    "uuid",
    "name",
    "utilization.gpu",
    "memory.used",
    "memory.total",
    "power.draw.instant",
    "temperature.gpu",
)
PRODUCTS = """
import torch
a = torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16)
print("at work", flush=True)
while True:
    for _ in range(50):
        a @ a
    torch.cuda.synchronize()
"""


def smi() -> list[dict[str, str]]:
    """What nvidia-smi says of each GPU, by field."""
    command = ["nvidia-smi", f"--query-gpu={','.join(FIELDS)}", "--format=csv,noheader,nounits"]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    return [dict(zip(FIELDS, line.split(", "), strict=True)) for line in lines]


def poll() -> Batch:
    """What one poll of the source brings."""
    return Nvml(ServingGpu("gpu-host")).fetch("gpus")


def show(title: str, events: list[Event]) -> None:
    """Print the events as they go to Kafka: what the documentation quotes."""
    for event in events:
        print(f"\n{title}: {msgspec.json.encode(event).decode()}")


@pytest.fixture
def busy() -> Iterator[None]:
    """The first GPU multiplies matrices."""
    with subprocess.Popen([sys.executable, "-c", PRODUCTS], stdout=subprocess.PIPE) as work:
        try:
            assert work.stdout is not None
            assert work.stdout.readline() == b"at work\n"
            time.sleep(5)
            yield
        finally:
            work.kill()


def test_an_idle_gpu_is_told_as_nvidia_smi_tells_it() -> None:
    found = poll()
    show("idle", found.events)
    told = smi()
    print(f"nvidia-smi: {told}")

    assert not found.rejected
    assert len(found.events) == len(told) > 0
    for event, row in zip(found.events, told, strict=True):
        assert isinstance(event, GpuMetrics)
        assert not event.simulated
        assert (event.gpu_index, event.uuid, event.name) == (
            int(row["index"]),
            row["uuid"],
            row["name"],
        )
        assert event.mem_total_mb == pytest.approx(float(row["memory.total"]), abs=1)
        assert event.mem_used_mb == pytest.approx(float(row["memory.used"]), abs=8)
        assert event.power_w == pytest.approx(float(row["power.draw.instant"]), rel=0.2)
        assert event.temp_c == pytest.approx(float(row["temperature.gpu"]), abs=2)


def test_a_gpu_at_work_is_busier_hotter_and_hungrier(busy: None) -> None:
    before = poll().events
    time.sleep(3)
    found = poll()
    show("at work", found.events)
    told = smi()
    print(f"nvidia-smi: {told}")

    event, earlier = found.events[0], before[0]
    assert isinstance(event, GpuMetrics)
    assert isinstance(earlier, GpuMetrics)
    assert event.utilization is not None
    assert event.utilization == pytest.approx(float(told[0]["utilization.gpu"]), abs=10)
    assert event.utilization > 90
    assert event.mem_used_mb == pytest.approx(float(told[0]["memory.used"]), abs=64)
    assert event.mem_used_mb is not None
    assert event.mem_used_mb > 128  # one matrix
    assert event.power_w is not None
    assert event.power_w == pytest.approx(float(told[0]["power.draw.instant"]), rel=0.2)
    # Joules between the polls over the time between them are watts.
    assert event.energy_j is not None
    assert earlier.energy_j is not None
    seconds = (event.observed_at - earlier.observed_at).total_seconds()
    assert (event.energy_j - earlier.energy_j) / seconds == pytest.approx(event.power_w, rel=0.2)
    assert event.event_id != earlier.event_id
