"""dcgm, nvidia_smi and vllm: pages as their exporters write them, and whatever else may come."""

import math
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from services.tests.sources.exporter import NOW, Server
from structlog.testing import capture_logs

from millrace.errors import ConfigurationError
from millrace.feeds import gpus
from millrace.feeds.gpu_metrics import GPU_METRICS, READINGS, GpuMetrics
from millrace.feeds.token_usage import TOKEN_USAGE, TokenUsage
from millrace.processor.decode import decoder
from millrace.sources import dcgm, making, nvidia_smi, scrape, vllm, vllm_counters
from millrace.sources.base import Auth, Batch, Permanent, Quota, Rejected, SourceError, Transient
from millrace.sources.gpu_exporter import GpuExporter
from millrace.sources.gpus import ServingGpu, usage
from millrace.sources.scrape import Exporter, Sample
from millrace.sources.vllm import Vllm

PLACE = ServingGpu("here", 1, "A100 40GB")

DCGM_PAGE = """\
# HELP DCGM_FI_DEV_GPU_UTIL GPU utilization (in %).
# TYPE DCGM_FI_DEV_GPU_UTIL gauge
DCGM_FI_DEV_GPU_UTIL{gpu="0",UUID="GPU-a",device="nvidia0",modelName="NVIDIA GeForce RTX 3090",Hostname="box"} 71
DCGM_FI_DEV_GPU_UTIL{gpu="1",UUID="GPU-b",device="nvidia1",modelName="NVIDIA A100-PCIE-40GB",Hostname="box"} NaN
# TYPE DCGM_FI_DEV_FB_USED gauge
DCGM_FI_DEV_FB_USED{gpu="0",UUID="GPU-a",device="nvidia0",modelName="NVIDIA GeForce RTX 3090",Hostname="box"} 9012
DCGM_FI_DEV_FB_USED{gpu="1",UUID="GPU-b",device="nvidia1",modelName="NVIDIA A100-PCIE-40GB",Hostname="box"} 100
# TYPE DCGM_FI_DEV_FB_FREE gauge
DCGM_FI_DEV_FB_FREE{gpu="0",UUID="GPU-a",device="nvidia0",modelName="NVIDIA GeForce RTX 3090",Hostname="box"} 15244
# TYPE DCGM_FI_DEV_FB_RESERVED gauge
DCGM_FI_DEV_FB_RESERVED{gpu="0",UUID="GPU-a",device="nvidia0",modelName="NVIDIA GeForce RTX 3090",Hostname="box"} 320
# TYPE DCGM_FI_DEV_POWER_USAGE gauge
DCGM_FI_DEV_POWER_USAGE{gpu="0",UUID="GPU-a",device="nvidia0",modelName="NVIDIA GeForce RTX 3090",Hostname="box"} 281.44
DCGM_FI_DEV_POWER_USAGE{gpu="1",UUID="GPU-b",device="nvidia1",modelName="NVIDIA A100-PCIE-40GB",Hostname="box"} +Inf
# TYPE DCGM_FI_DEV_GPU_TEMP gauge
DCGM_FI_DEV_GPU_TEMP{gpu="0",UUID="GPU-a",device="nvidia0",modelName="NVIDIA GeForce RTX 3090",Hostname="box"} 66
# TYPE DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION counter
DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION{gpu="0",UUID="GPU-a",device="nvidia0",modelName="NVIDIA GeForce RTX 3090",Hostname="box"} 1.5e+06
# TYPE DCGM_FI_PROF_GR_ENGINE_ACTIVE gauge
DCGM_FI_PROF_GR_ENGINE_ACTIVE{gpu="1",UUID="GPU-b",device="nvidia1",modelName="NVIDIA A100-PCIE-40GB",Hostname="box"} 0.25
DCGM_FI_PROF_GR_ENGINE_ACTIVE{gpu="1",UUID="GPU-b",GPU_I_PROFILE="1g.5gb",GPU_I_ID="7",modelName="NVIDIA A100-PCIE-40GB",Hostname="box"} 0.9
"""  # noqa: E501 - the exporter's lines are long


def vllm_page(prompt: str, completion: str, *, seconds: float = 0, requests: int = 0) -> str:
    """A server with one model."""
    labels = '{engine="0",model_name="llama"}'
    return f"""\
# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{labels} 3.0
# TYPE vllm:prompt_tokens_total counter
vllm:prompt_tokens_total{labels} {prompt}
# TYPE vllm:generation_tokens_total counter
vllm:generation_tokens_total{labels} {completion}
# TYPE vllm:e2e_request_latency_seconds histogram
vllm:e2e_request_latency_seconds_bucket{{engine="0",le="+Inf",model_name="llama"}} {requests}
vllm:e2e_request_latency_seconds_count{labels} {requests}
vllm:e2e_request_latency_seconds_sum{labels} {seconds}
"""


def dcgm_source(server: Server, place: ServingGpu = PLACE) -> GpuExporter:
    return GpuExporter(Exporter(server.url), place, dcgm.normalise, dcgm.EMPTY, server.clock)


def smi_source(server: Server) -> GpuExporter:
    return GpuExporter(
        Exporter(server.url), PLACE, nvidia_smi.normalise, nvidia_smi.EMPTY, server.clock
    )


class Scraped:
    """A vLLM server that is polled now and then."""

    def __init__(self, server: Server, state: Path) -> None:
        self._server = server
        self._state = state / "counters.json"
        self.set = 0.0
        self.restart()

    def restart(self) -> None:
        """Of the producer, which may have another server to ask now."""
        self._source = Vllm(
            Exporter(self._server.url),
            PLACE,
            self._state,
            lambda: self._server.now + self.set,
            self._server.clock,
        )

    def fetch(self) -> Batch:
        return self._source.fetch("metrics")

    def poll(self, page: str, after: float = 15) -> list[TokenUsage]:
        self._server.page = page
        self._server.now += after
        batch = self.fetch()
        assert not batch.rejected
        return list(batch.events)  # type: ignore[arg-type]


def test_dcgm_has_the_values_of_its_page_in_our_units(exporter: Server) -> None:
    exporter.page = DCGM_PAGE
    batch = dcgm_source(exporter).fetch("metrics")
    first, second = batch.events
    assert isinstance(first, GpuMetrics)
    assert isinstance(second, GpuMetrics)
    assert (first.symbol, first.uuid, first.name) == ("box/0", "GPU-a", "NVIDIA GeForce RTX 3090")
    assert (first.utilization, first.mem_used_mb, first.mem_total_mb) == (71, 9012, 24576)
    assert (first.power_w, first.temp_c, first.energy_j) == (281.44, 66, 1500)
    assert (first.price_per_hour_usd, second.price_per_hour_usd) == (0.85, 3.2)
    assert (first.source, first.simulated) == ("dcgm", False)
    assert first.observed_at.timestamp() == NOW


def test_dcgm_gives_null_for_what_is_no_number_and_leaves_mig_instances_out(
    exporter: Server,
) -> None:
    exporter.page = DCGM_PAGE
    second = dcgm_source(exporter).fetch("metrics").events[1]
    assert isinstance(second, GpuMetrics)
    assert second.utilization == 25
    assert second.mem_used_mb == 100
    assert second.mem_total_mb is second.power_w is second.temp_c is second.energy_j is None


def test_dcgm_without_one_reading_has_the_others_and_says_which_is_not_believed(
    exporter: Server,
) -> None:
    exporter.page = DCGM_PAGE.replace("} 71", "} 171")
    batch = dcgm_source(exporter).fetch("metrics")
    first = batch.events[0]
    assert isinstance(first, GpuMetrics)
    assert [event.symbol for event in batch.events] == ["box/0", "box/1"]
    assert (first.utilization, first.mem_used_mb, first.power_w) == (None, 9012, 281.44)
    assert (first.temp_c, first.energy_j) == (66, 1500)
    (rejected,) = batch.rejected
    assert rejected.symbol == "box/0"
    assert "utilization" in rejected.reason


BLANKS = {
    "of 32 bits": "2147483632",
    "of 32 bits, not supported": "2147483634",
    "of 32 bits without its sign": "4294967295",
    "of 64 bits": "9223372036854775792",
    "of a floating-point number": "1.40737488355328e+14",
}


@pytest.mark.parametrize("blank", BLANKS.values(), ids=BLANKS)
@pytest.mark.parametrize(
    ("value", "fields"),
    [
        ("71", {"utilization"}),
        ("9012", {"mem_used_mb", "mem_total_mb"}),
        ("15244", {"mem_total_mb"}),
        ("281.44", {"power_w"}),
        ("66", {"temp_c"}),
        ("1.5e+06", {"energy_j"}),
    ],
)
def test_a_blank_of_dcgm_is_null_without_a_word_and_the_rest_is_kept(
    exporter: Server, value: str, fields: set[str], blank: str
) -> None:
    line = next(line for line in DCGM_PAGE.splitlines() if line.endswith(f"}} {value}"))
    exporter.page = DCGM_PAGE.replace(line, line.removesuffix(value) + blank)
    batch = dcgm_source(exporter).fetch("metrics")
    event = batch.events[0]
    assert isinstance(event, GpuMetrics)
    assert not batch.rejected
    assert {name for name in READINGS if getattr(event, name) is None} == fields


BEFORE_2 = """\
# TYPE dcgm_gpu_temp gauge
dcgm_gpu_temp{gpu="0",uuid="GPU-a"} 34
# TYPE dcgm_power_usage gauge
dcgm_power_usage{gpu="0",uuid="GPU-a"} 31.737
# TYPE dcgm_total_energy_consumption counter
dcgm_total_energy_consumption{gpu="0",uuid="GPU-a"} 7.824041e+06
# TYPE dcgm_gpu_utilization gauge
dcgm_gpu_utilization{gpu="0",uuid="GPU-a"} 12
# TYPE dcgm_mem_copy_utilization gauge
dcgm_mem_copy_utilization{gpu="0",uuid="GPU-a"} 3
# TYPE dcgm_fb_free gauge
dcgm_fb_free{gpu="0",uuid="GPU-a"} 16000
# TYPE dcgm_fb_used gauge
dcgm_fb_used{gpu="0",uuid="GPU-a"} 160
# TYPE dcgm_nvlink_bandwidth_total counter
dcgm_nvlink_bandwidth_total{gpu="0",uuid="GPU-a"} 0
"""


@pytest.mark.parametrize(
    ("more", "host"),
    [("", "here"), (',pod_name="p",container_name="c"', "here"), (',Hostname="box"', "box")],
    ids=["1.7", "1.7, in Kubernetes", "2 and later, compatible with 1"],
)
def test_dcgm_has_the_names_of_its_first_versions(exporter: Server, more: str, host: str) -> None:
    exporter.page = BEFORE_2.replace('uuid="GPU-a"', f'uuid="GPU-a"{more}')
    batch = dcgm_source(exporter).fetch("metrics")
    (event,) = batch.events
    assert isinstance(event, GpuMetrics)
    assert not batch.rejected
    assert (event.symbol, event.uuid, event.name) == (f"{host}/0", "GPU-a", "A100 40GB")
    assert (event.utilization, event.mem_used_mb, event.mem_total_mb) == (12, 160, 16160)
    assert (event.power_w, event.temp_c, event.energy_j) == (31.737, 34, 7824.041)


def mig(instance: int, profile: str, used: int, active: float) -> str:
    labels = (
        f'gpu="0",UUID="GPU-a",device="nvidia0",modelName="NVIDIA H100",Hostname="box",'
        f'GPU_I_PROFILE="{profile}",GPU_I_ID="{instance}"'
    )
    return f"""\
DCGM_FI_DEV_FB_USED{{{labels}}} {used}
DCGM_FI_DEV_FB_FREE{{{labels}}} {10_000 - used}
DCGM_FI_DEV_POWER_USAGE{{{labels}}} 300.5
DCGM_FI_DEV_GPU_TEMP{{{labels}}} 50
DCGM_FI_PROF_GR_ENGINE_ACTIVE{{{labels}}} {active}
DCGM_FI_PROF_NVLINK_RX_BYTES{{{labels},nvlink="0"}} 1
"""


def test_instances_of_a_gpu_are_not_taken_for_the_gpu(exporter: Server) -> None:
    page = mig(1, "1g.10gb", 1000, 0.9) + mig(2, "1g.10gb", 2500, 0.1)
    exporter.page = page
    batch = dcgm_source(exporter).fetch("metrics")
    (event,) = batch.events
    assert isinstance(event, GpuMetrics)
    assert not batch.rejected
    assert (event.symbol, event.utilization) == ("box/0", None)
    assert (event.mem_used_mb, event.mem_total_mb) == (3500, 20_000)
    assert (event.power_w, event.temp_c, event.energy_j) == (300.5, 50, None)
    exporter.page = page + 'DCGM_FI_DEV_GPU_UTIL{gpu="0",Hostname="box"} 7\n'
    (event,) = dcgm_source(exporter).fetch("metrics").events
    assert isinstance(event, GpuMetrics)
    assert (event.utilization, event.mem_used_mb) == (7, None), "what the GPU says itself counts"


SMI = {
    "0.3": (
        'nvidia_smi_gpu_info{driver_model_current="",driver_version="470",name="NVIDIA L4",'
        'uuid="a-1",vbios_version="1"} 1\n'
        'nvidia_smi_index{uuid="a-1"} 3\nnvidia_smi_power_draw_watts{uuid="a-1"} 28.07\n',
        None,
    ),
    "1.3, without a series of the number": (
        'nvidia_smi_gpu_info{index="3",name="NVIDIA L4",uuid="GPU-a-1"} 1\n'
        'nvidia_smi_power_draw_instant_watts{uuid="GPU-a-1"} 900\n'
        'nvidia_smi_power_draw_average_watts{uuid="GPU-a-1"} 28.07\n',
        None,
    ),
    "1.14, which asks NVML": (
        'nvidia_smi_gpu_info{index="3",name="NVIDIA L4",uuid="a-1",cuda_version="13.0"} 1\n'
        'nvidia_smi_index{uuid="a-1"} 3\nnvidia_smi_power_draw_watts{uuid="a-1"} 28.07\n'
        'nvidia_smi_power_draw_instant_watts{uuid="a-1"} 900\n'
        "# TYPE nvidia_smi_energy_joules_total counter\n"
        'nvidia_smi_energy_joules_total{uuid="a-1"} 1.5e+06\n'
        'nvidia_smi_mig_info{uuid="a-1",mig_uuid="MIG-x",gpu_instance_id="7"} 1\n'
        'nvidia_smi_mig_memory_used_bytes{uuid="a-1",gpu_instance_id="7"} 99\n'
        'nvidia_smi_compute_app_used_memory_bytes{pid="1",uuid="a-1"} 99\n',
        1.5e6,
    ),
}


def smi_page(page: str) -> str:
    """With what all versions show."""
    uuid = "GPU-a-1" if "GPU-a-1" in page else "a-1"
    return page + (
        f'nvidia_smi_utilization_gpu_ratio{{uuid="{uuid}"}} 0.07\n'
        f'nvidia_smi_memory_used_bytes{{uuid="{uuid}"}} 7.06740224e+08\n'
        f'nvidia_smi_memory_total_bytes{{uuid="{uuid}"}} 8.589934592e+09\n'
        f'nvidia_smi_temperature_gpu{{uuid="{uuid}"}} 34\n'
        "nvidia_smi_failed_scrapes_total 0\nnvidia_smi_last_collect_success 1\n"
    )


@pytest.mark.parametrize(("page", "energy"), SMI.values(), ids=SMI)
def test_nvidia_smi_has_the_values_of_its_page_in_our_units(
    exporter: Server, page: str, energy: float | None
) -> None:
    exporter.page = smi_page(page)
    batch = smi_source(exporter).fetch("metrics")
    (event,) = batch.events
    assert isinstance(event, GpuMetrics)
    assert not batch.rejected
    assert (event.symbol, event.uuid, event.name) == ("here/3", "GPU-a-1", "NVIDIA L4")
    assert (event.utilization, event.mem_used_mb, event.mem_total_mb) == (7, 674, 8192)
    assert (event.power_w, event.temp_c, event.energy_j) == (28.07, 34, energy)
    assert (event.source, event.observed_at.timestamp()) == ("nvidia_smi", NOW)


def test_nvidia_smi_without_a_number_is_rejected_and_without_a_reading_has_the_others(
    exporter: Server,
) -> None:
    exporter.page = smi_page("")
    batch = smi_source(exporter).fetch("metrics")
    assert batch.rejected == [Rejected("here/a-1", "no series says the number of the GPU")]
    assert not batch.events
    exporter.page = (
        'nvidia_smi_index{uuid="b"} 0\nnvidia_smi_utilization_gpu_ratio{uuid="b"} 1.7\n'
        'nvidia_smi_temperature_gpu{uuid="b"} 40\n'
    )
    batch = smi_source(exporter).fetch("metrics")
    (event,) = batch.events
    assert isinstance(event, GpuMetrics)
    assert (event.name, event.utilization, event.temp_c) == ("A100 40GB", None, 40)
    assert len(batch.rejected) == 1


def test_an_exporter_whose_nvidia_smi_fails_is_asked_again(exporter: Server) -> None:
    exporter.page = "nvidia_smi_last_collect_success 0\nnvidia_smi_failed_scrapes_total 3\n"
    with pytest.raises(Transient, match="nvidia-smi fails"):
        smi_source(exporter).fetch("metrics")


@pytest.mark.parametrize(
    ("name", "gpu", "empty"),
    [
        ("dcgm", 'DCGM_FI_DEV_GPU_TEMP{gpu="0",UUID="GPU-a"} 40', "no GPU of DCGM"),
        ("nvidia_smi", 'nvidia_smi_index{uuid="a"} 0', "no GPU of nvidia_gpu_exporter"),
    ],
)
def test_the_source_that_is_named_reads_the_pages_of_its_exporter(
    exporter: Server, settings: Any, name: str, gpu: str, empty: str
) -> None:
    values = {"producer_source": name, "producer_feed": "gpu_metrics", "producer_url": exporter.url}
    source = making.make(settings(**values))
    exporter.page = f"{gpu}\n"
    assert [event.source for event in source.fetch("metrics").events] == [name]
    exporter.page = "up 1\n"
    with pytest.raises(Transient, match=empty):
        source.fetch("metrics")


@pytest.mark.parametrize("simulated", [False, True])
@pytest.mark.parametrize(
    ("name", "feed", "page"),
    [
        ("dcgm", "gpu_metrics", 'DCGM_FI_DEV_GPU_TEMP{gpu="2"} 40\n'),
        ("nvidia_smi", "gpu_metrics", 'nvidia_smi_index{uuid="a"} 2\n'),
        ("vllm", "token_usage", vllm_page("1", "1")),
    ],
)
def test_an_event_is_of_the_place_that_is_configured(
    exporter: Server, settings: Any, name: str, feed: str, page: str, simulated: bool
) -> None:
    exporter.page = page
    exporter.headers = {"X-Millrace-Simulator": "1"} if simulated else {}
    source = making.make(
        settings(
            producer_source=name,
            producer_feed=feed,
            producer_url=exporter.url,
            producer_interval_seconds=10,
            producer_host="box",
            # An exporter says itself which GPU it is about.
            producer_gpu_index=2 if name == "vllm" else 0,
            producer_gpu_name="mine",
            producer_gpu_price_per_hour=0.25,
        )
    )
    if name == "vllm":
        assert source.fetch("metrics") == Batch([], simulated, [])
    batch = source.fetch("metrics")
    (event,) = batch.events
    assert isinstance(event, GpuMetrics | TokenUsage)
    assert (event.source, event.simulated, batch.simulated) == (name, simulated, simulated)
    assert (event.host, event.gpu_index, event.price_per_hour_usd) == ("box", 2, 0.25)
    assert (event.name if isinstance(event, GpuMetrics) else event.gpu_name) == "mine"


def test_a_blank_of_dcgm_is_a_number_of_its_own() -> None:
    for blank in dcgm.BLANKS:
        numbers = (blank - 1, blank, blank + dcgm.REASONS - 1, blank + dcgm.REASONS)
        assert [dcgm.is_blank(number) for number in numbers] == [False, True, True, False]
    assert dcgm.is_blank(dcgm.LARGE_BLANK)
    assert not dcgm.is_blank(dcgm.LARGE_BLANK - 1)


def test_what_is_said_of_instances_is_their_sum_or_that_of_their_gpu() -> None:
    one = {dcgm.USED: 1.0, dcgm.FREE: 2.0, dcgm.TOTAL: 4.0, dcgm.POWER: 70.0, dcgm.ENERGY: 9.0}
    two = {dcgm.USED: 10.0, dcgm.FREE: 20.0, dcgm.RESERVED: 5.0, dcgm.TEMPERATURE: 40.0}
    assert dcgm.whole({"1": one, "2": two}) == {
        dcgm.USED: 11,
        dcgm.FREE: 22,
        dcgm.POWER: 70,
        dcgm.ENERGY: 9,
        dcgm.TEMPERATURE: 40,
    }


def test_the_memory_that_dcgm_names_as_all_is_all(exporter: Server) -> None:
    exporter.page = DCGM_PAGE + 'DCGM_FI_DEV_FB_TOTAL{gpu="0",UUID="GPU-a",Hostname="box"} 24600\n'
    (first, _) = dcgm_source(exporter).fetch("metrics").events
    assert isinstance(first, GpuMetrics)
    assert first.mem_total_mb == 24600


@pytest.mark.parametrize("instance", ["", ',GPU_I_ID="7"'])
def test_what_one_series_says_of_a_gpu_is_known_of_it(exporter: Server, instance: str) -> None:
    exporter.page = (
        f'DCGM_FI_DEV_GPU_TEMP{{gpu="0",UUID="GPU-a",modelName="NVIDIA L4"{instance}}} 40\n'
        f'DCGM_FI_DEV_POWER_USAGE{{gpu="0"{instance}}} 70\n'
    )
    (event,) = dcgm_source(exporter).fetch("metrics").events
    assert isinstance(event, GpuMetrics)
    assert (event.uuid, event.name, event.temp_c, event.power_w) == ("GPU-a", "NVIDIA L4", 40, 70)


def test_a_number_of_a_gpu_that_is_too_long_is_cut(exporter: Server) -> None:
    for source, page in (
        (dcgm_source(exporter), f'DCGM_FI_DEV_GPU_TEMP{{gpu="{"1" * 12}"}} 40\n'),
        (smi_source(exporter), f'nvidia_smi_gpu_info{{uuid="a",index="{"1" * 12}"}} 1\n'),
    ):
        exporter.page = page
        batch = source.fetch("metrics")
        assert not batch.events
        assert [one.symbol for one in batch.rejected] == ["here/111111111"]


def test_an_exporter_without_a_page_says_what_that_may_mean(
    exporter: Server, tmp_path: Path
) -> None:
    exporter.page = "up 1\n"
    made = Vllm(Exporter(exporter.url), PLACE, tmp_path / "state")
    with pytest.raises(Transient) as caught:
        made.fetch("metrics")
    assert str(caught.value) == (
        "the page has no counters of vLLM: it starts yet, or the URL is wrong"
    )
    exporter.page = "{"
    with pytest.raises(Transient, match=r"^the answer is no page of metrics: [A-Z]\w+Error$"):
        made.fetch("metrics")


def gpu_line(labels: str) -> str:
    return f"DCGM_FI_DEV_GPU_UTIL{{{labels}}} 71\nDCGM_FI_DEV_POWER_USAGE{{{labels}}} 70.5\n"


LABELS = {
    "2.0": ('gpu="0",UUID="GPU-a",device="nvidia0"', "here/0", "GPU-a", "A100 40GB"),
    "2.4": (
        'gpu="0",UUID="GPU-a",device="nvidia0",modelName="Tesla T4",Hostname="box"',
        "box/0",
        "GPU-a",
        "Tesla T4",
    ),
    "3.3, in Kubernetes": (
        'gpu="0",UUID="GPU-a",pci_bus_id="00000000:31:00.0",device="nvidia0",modelName="NVIDIA L4",'
        'Hostname="box",container="",namespace="",pod=""',
        "box/0",
        "GPU-a",
        "NVIDIA L4",
    ),
    "3.3, old namespace": (
        'gpu="0",uuid="GPU-a",device="nvidia0",modelName="NVIDIA L4",Hostname="box",pod_name="p"',
        "box/0",
        "GPU-a",
        "NVIDIA L4",
    ),
    "4.4": (
        'gpu="0",UUID="GPU-a",pci_bus_id="00000000:31:00.0",device="nvidia0",modelName="NVIDIA L4",'
        'Hostname="box",DCGM_FI_DRIVER_VERSION="580.105.08"',
        "box/0",
        "GPU-a",
        "NVIDIA L4",
    ),
    "4.8": (
        'gpu="0",UUID="GPU-a",pci_bus_id="00000000:00:04.0",device="nvidia0",modelName="Tesla T4",'
        'hostname="box"',
        "box/0",
        "GPU-a",
        "Tesla T4",
    ),
    "4.x, a model that is not known": (
        'gpu="0",UUID="GPU-a",modelName="",Hostname="box"',
        "box/0",
        "GPU-a",
        "A100 40GB",
    ),
}


@pytest.mark.parametrize(("labels", "symbol", "uuid", "name"), LABELS.values(), ids=LABELS)
def test_dcgm_finds_the_labels_of_each_version_of_its_exporter(
    exporter: Server, labels: str, symbol: str, uuid: str, name: str
) -> None:
    exporter.page = gpu_line(labels)
    batch = dcgm_source(exporter).fetch("metrics")
    (event,) = batch.events
    assert isinstance(event, GpuMetrics)
    assert (event.symbol, event.uuid, event.name) == (symbol, uuid, name)
    assert (event.utilization, event.power_w) == (71, 70.5)
    assert not batch.rejected


def test_a_gpu_that_nobody_names_is_unknown_and_has_no_price(exporter: Server) -> None:
    exporter.page = gpu_line('gpu="0",UUID="GPU-a",device="nvidia0"')
    (event,) = dcgm_source(exporter, ServingGpu("here")).fetch("metrics").events
    assert isinstance(event, GpuMetrics)
    assert (event.name, event.price_per_hour_usd) == ("unknown", None)


def test_series_about_no_gpu_are_no_errors(exporter: Server) -> None:
    exporter.page = DCGM_PAGE
    expected = dcgm_source(exporter).fetch("metrics")
    exporter.page += """\
DCGM_FI_DEV_NVSWITCH_TEMPERATURE_CURRENT{nvswitch="1",Hostname="box"} 43
DCGM_FI_DEV_NVSWITCH_POWER_VDD{nvswitch="1",Hostname="box"} 2147483632
DCGM_FI_DEV_NVLINK_COUNT_TX_BYTES{nvlink="3",nvswitch="1",Hostname="box"} 17
DCGM_FI_DEV_NVLINK_COUNT_TX_BYTES{nvlink="3",gpu="7",gpu_uuid="GPU-h",model_name="H",hostname="box"} 17
DCGM_FI_DEV_CPU_UTIL_TOTAL{cpu="0",Hostname="box"} 0.2
DCGM_FI_DEV_CPU_UTIL_TOTAL{cpucore="5",cpu="0",Hostname="box"} 0.1
DCGM_FI_DEV_POWER_USAGE{nvswitch="1",Hostname="box"} 80
DCGM_EXP_XID_ERRORS_COUNT{gpu="x",xid="31"} 1
go_goroutines 12
"""  # noqa: E501 - the exporter's lines are long
    assert dcgm_source(exporter).fetch("metrics") == expected
    assert not expected.rejected


def test_a_page_on_which_no_gpu_has_a_number_is_no_success(exporter: Server) -> None:
    exporter.page = 'DCGM_FI_DEV_GPU_UTIL{UUID="GPU-a"} 1\nDCGM_FI_DEV_GPU_TEMP{UUID="GPU-b"} 1\n'
    batch = dcgm_source(exporter).fetch("metrics")
    assert not batch.events
    assert batch.rejected
    exporter.page = 'DCGM_FI_DEV_CPU_UTIL_TOTAL{cpu="0",Hostname="box"} 0.2\n'
    with pytest.raises(Transient, match="no GPU"):
        dcgm_source(exporter).fetch("metrics")


def test_a_gpu_without_a_number_is_rejected(exporter: Server) -> None:
    exporter.page = DCGM_PAGE + 'DCGM_FI_DEV_GPU_UTIL{gpu="x",Hostname="box"} 1\n'
    batch = dcgm_source(exporter).fetch("metrics")
    assert len(batch.events) == 2
    assert batch.rejected == [Rejected("box/x", "the label gpu is no number")]


@pytest.mark.parametrize("instance", ["", ',GPU_I_ID="1"'])
def test_two_gpus_of_one_name_are_rejected_and_not_mixed(exporter: Server, instance: str) -> None:
    exporter.page = (
        'DCGM_FI_DEV_GPU_UTIL{gpu="0",UUID="GPU-1"} 10\n'
        'DCGM_FI_DEV_POWER_USAGE{gpu="0",UUID="GPU-1"} 70\n'
        'DCGM_FI_DEV_GPU_UTIL{gpu="1",UUID="GPU-3"} 30\n'
        f'DCGM_FI_DEV_GPU_TEMP{{gpu="0",UUID="GPU-2"{instance}}} 99\n'
    )
    batch = dcgm_source(exporter).fetch("metrics")
    assert [event.symbol for event in batch.events] == ["here/1"]
    (rejected,) = batch.rejected
    assert rejected == Rejected(
        "here/0",
        "it is GPU-1 and GPU-2: give each host its own URL, or each series the label Hostname",
    )


def test_two_gpus_of_one_number_are_rejected_by_nvidia_smi_too(exporter: Server) -> None:
    exporter.page = "".join(
        f'nvidia_smi_index{{uuid="{uuid}"}} {number}\n'
        for uuid, number in (("a", 0), ("b", 0), ("c", 1))
    )
    batch = smi_source(exporter).fetch("metrics")
    assert [event.symbol for event in batch.events] == ["here/1"]
    both = "several GPUs of the page have its number: give each host its own URL"
    assert batch.rejected == [Rejected("here/0", both)] * 2


@pytest.mark.parametrize("host", ["None", " n1", "n\u200b1", '\\"n1\\"'])
def test_a_host_that_looks_like_another_is_rejected(exporter: Server, host: str) -> None:
    exporter.page = (
        f'DCGM_FI_DEV_GPU_TEMP{{gpu="0",UUID="GPU-1",Hostname="{host}"}} 40\n'
        'DCGM_FI_DEV_GPU_TEMP{gpu="1",UUID="GPU-2",Hostname="n1"} 41\n'
    )
    batch = dcgm_source(exporter).fetch("metrics")
    assert [event.symbol for event in batch.events] == ["n1/1"]
    (rejected,) = batch.rejected
    assert rejected.reason.startswith("`host` is ")


@pytest.mark.parametrize(
    ("status", "page", "kind"),
    [
        (500, "", Transient),
        (401, "", Auth),
        (404, "", Permanent),
        (302, "", Permanent),
        (429, "", Transient),
        (200, "<html>no metrics</html>", Transient),
        (200, b"\xff\xfe", Transient),
        (200, "up 1\n", Transient),
        (200, "", Transient),
    ],
)
def test_failures_have_their_kind(
    exporter: Server, tmp_path: Path, status: int, page: str, kind: type[SourceError]
) -> None:
    exporter.status, exporter.page = status, page
    others = (dcgm_source(exporter), smi_source(exporter))
    for source in (*others, Vllm(Exporter(exporter.url), PLACE, tmp_path / "state")):
        with pytest.raises(SourceError) as caught:
            source.fetch("metrics")
        assert type(caught.value) is kind


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (300, Permanent("HTTP 300: is the URL right?")),
        (499, Permanent("HTTP 499: is the URL right?")),
        (401, Auth("HTTP 401")),
        (403, Auth("HTTP 403")),
        (429, Transient("HTTP 429")),
        (500, Transient("HTTP 500")),
        (503, Transient("HTTP 503")),
    ],
)
def test_what_an_exporter_answers_instead_of_a_page_is_said(
    exporter: Server, status: int, expected: SourceError
) -> None:
    exporter.status = status
    with pytest.raises(SourceError) as caught:
        Exporter(exporter.url).scrape()
    assert (type(caught.value), str(caught.value)) == (type(expected), str(expected))


def test_a_page_is_bounded(exporter: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    exporter.page = "up 1\n"
    monkeypatch.setattr(scrape, "MAX_BODY", 5)
    assert Exporter(exporter.url).scrape().samples == [Sample("up", {}, 1.0)]
    monkeypatch.setattr(scrape, "MAX_BODY", 4)
    with pytest.raises(Transient, match="the answer is too long"):
        Exporter(exporter.url).scrape()


@pytest.mark.parametrize("status", [429, 503])
def test_an_exporter_that_says_when_to_come_again_is_asked_then(
    exporter: Server, status: int
) -> None:
    exporter.status, exporter.headers = status, {"Retry-After": "120"}
    with pytest.raises(Quota, match=rf"^it says to wait \(HTTP {status}\)$") as caught:
        dcgm_source(exporter).fetch("metrics")
    wait = caught.value.retry_at - datetime.now(UTC)
    assert 110 < wait.total_seconds() <= 120


def test_nobody_there_is_transient(exporter: Server) -> None:
    exporter.close()
    with pytest.raises(Transient):
        dcgm_source(exporter).fetch("metrics")
    exporter.__init__()  # type: ignore[misc]


def test_without_a_url_there_is_nothing_to_scrape(settings: Any) -> None:
    for source in (dcgm, nvidia_smi, vllm):
        name = source.__name__.rpartition(".")[2]
        feed = "token_usage" if source is vllm else "gpu_metrics"
        with pytest.raises(ConfigurationError) as caught:
            making.make(
                settings(producer_source=name, producer_feed=feed, producer_interval_seconds=10)
            )
        assert str(caught.value) == (
            f"{name} has nothing to ask: set MILLRACE_PRODUCER_URL to the URL of its metrics"
        )


def test_vllm_that_is_polled_too_seldom_for_a_rate_is_refused(settings: Any) -> None:
    values = {
        "producer_source": "vllm",
        "producer_feed": "token_usage",
        "producer_url": "http://127.0.0.1:9/metrics",
    }
    making.make(settings(**values, producer_interval_seconds=30))
    with pytest.raises(ConfigurationError) as caught:
        making.make(settings(**values))
    assert str(caught.value) == (
        "MILLRACE_PRODUCER_INTERVAL_SECONDS: vllm must be polled every 30 seconds at least, for a"
        " rate to be known; it is 60"
    )


@pytest.fixture
def server(exporter: Server, tmp_path: Path) -> Scraped:
    return Scraped(exporter, tmp_path)


def test_vllm_has_no_event_at_first_and_then_what_was_used(
    server: Scraped, exporter: Server
) -> None:
    assert not server.poll(vllm_page("1.000648e+06", "2.0e+05", seconds=10, requests=4))
    (event,) = server.poll(vllm_page("1.001648e+06", "2.005e+05", seconds=13, requests=6))
    assert (event.prompt_tokens, event.completion_tokens) == (1000, 500)
    assert event.latency_ms == pytest.approx(1500)
    assert (event.symbol, event.gpu_name) == ("here/1/llama", "A100 40GB")
    assert event.observed_at.timestamp() == exporter.now
    assert event.span_s == 15


def test_tokens_have_the_price_of_their_time_whatever_the_table_says_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    used = {"model": "m", "prompt_tokens": 10, "completion_tokens": 20}
    event = usage("vllm", PLACE, used, "", NOW, simulated=False)
    own = usage("vllm", replace(PLACE, price_per_hour=1.5), used, "", NOW, simulated=False)
    assert isinstance(event, TokenUsage)
    assert isinstance(own, TokenUsage)
    assert (event.price_per_hour_usd, own.price_per_hour_usd) == (3.2, 1.5)
    before = TOKEN_USAGE.derive(event, TOKEN_USAGE.history(TOKEN_USAGE.window))
    other = [msgspec.structs.replace(price, usd_per_hour=9.0) for price in gpus._PRICES]
    monkeypatch.setattr(gpus, "_PRICES", other)
    assert TOKEN_USAGE.derive(event, TOKEN_USAGE.history(TOKEN_USAGE.window)) == before


@pytest.mark.parametrize("seconds", [-3600, -10, 10, 3600])
def test_a_clock_that_is_set_makes_no_tokens_cheaper_or_dearer(
    server: Scraped, seconds: float
) -> None:
    server.poll(vllm_page("100", "10"))
    server.set = seconds
    (event,) = server.poll(vllm_page("200", "20"))
    assert event.span_s == pytest.approx(15)


def test_vllm_says_also_that_nothing_was_used(server: Scraped) -> None:
    assert not server.poll(vllm_page("1.0e+06", "2.0e+05"))
    for _ in range(2):
        (event,) = server.poll(vllm_page("1.0e+06", "2.0e+05"))
        assert (event.prompt_tokens, event.completion_tokens, event.latency_ms) == (0, 0, None)


def test_vllm_within_triton_has_other_labels(server: Scraped) -> None:
    """As the README of Triton's vLLM backend shows them; a model may have several versions."""

    def page(first: int, second: int) -> str:
        return "# TYPE vllm:prompt_tokens_total counter\n" + "".join(
            f'vllm:prompt_tokens_total{{model="llama",version="{version}"}} {tokens}\n'
            for version, tokens in enumerate((first, second), 1)
        )

    assert not server.poll(page(10, 1000))
    (event,) = server.poll(page(110, 1001))
    assert (event.model, event.prompt_tokens, event.completion_tokens) == ("llama", 101, 0)


def test_vllm_that_restarted_has_used_all_that_it_shows(server: Scraped) -> None:
    server.poll(vllm_page("1.0e+06", "2.0e+05", seconds=100, requests=50))
    (event,) = server.poll(vllm_page("300.0", "20.0", seconds=4, requests=2))
    assert (event.prompt_tokens, event.completion_tokens, event.latency_ms) == (300, 20, 2000)


def test_a_failed_poll_loses_no_tokens(server: Scraped, exporter: Server) -> None:
    server.poll(vllm_page("100", "10"))
    exporter.status = 503
    with pytest.raises(Transient):
        server.poll(vllm_page("200", "20"))
    exporter.status = 200
    (event,) = server.poll(vllm_page("300", "30"))
    assert (event.prompt_tokens, event.completion_tokens, event.span_s) == (200, 20, 30)


@pytest.mark.parametrize("gap", [15, 31, 90, 600])
def test_the_rate_is_right_whatever_the_gap_between_two_polls(server: Scraped, gap: float) -> None:
    """1000 tokens a second, the producer being paused or vLLM away for a while."""
    used, events = 0.0, []
    for after in (15, 15, gap, 15, 15, 15):
        used += 1000 * after
        events += server.poll(vllm_page(str(used), "0"), after)
    window = TOKEN_USAGE.history(TOKEN_USAGE.window)
    for event in events:
        assert TOKEN_USAGE.derive(event, window)["tokens_per_second"] == pytest.approx(1000)
        window.add(event.observed_at, TOKEN_USAGE.value(event))


def test_what_is_used_while_the_producer_is_down_is_told_when_it_is_back(server: Scraped) -> None:
    server.poll(vllm_page("100", "10"))
    (known,) = server.poll(vllm_page("200", "10"))
    server.restart()
    (again,) = server.poll(vllm_page("400", "20"), 500)
    assert again == known, "nobody knows whether it was published"
    (event,) = server.poll(vllm_page("500", "40"), 100)
    assert (event.prompt_tokens, event.completion_tokens, event.span_s) == (300, 30, 600)
    (event,) = server.poll(vllm_page("501", "40"))
    assert event.prompt_tokens == 1


def test_what_was_not_acknowledged_is_told_however_often_the_producer_ends(
    server: Scraped, tmp_path: Path
) -> None:
    """And the state does not grow with each end."""
    server.poll(vllm_page("0", "0"))
    (known,) = server.poll(vllm_page("1000", "0"))
    kept = (tmp_path / "counters.json").read_bytes()
    for used in (1200, 1230):
        server.restart()
        assert server.poll(vllm_page(str(used), "0")) == [known]
        assert (tmp_path / "counters.json").read_bytes() == kept
    (event,) = server.poll(vllm_page("1234", "0"))
    assert (event.prompt_tokens, event.span_s) == (234, 45)


def test_what_is_known_is_told_while_the_server_is_away(server: Scraped, exporter: Server) -> None:
    server.poll(vllm_page("0", "0"))
    known = server.poll(vllm_page("1000", "0"))
    exporter.status = 503
    server.restart()
    assert server.poll("") == known


def test_more_tokens_than_an_event_can_say_are_several(server: Scraped) -> None:
    server.poll(vllm_page("0", "0"))
    events = server.poll(vllm_page("2500000000", "1000000001"), 4_000_000)
    assert [(e.prompt_tokens, e.completion_tokens) for e in events] == [
        (10**9, 10**9),
        (10**9, 1),
        (5 * 10**8, 0),
    ]
    assert len({event.event_id for event in events}) == 3
    window = TOKEN_USAGE.history(TOKEN_USAGE.window)
    for event in events:
        rate = TOKEN_USAGE.derive(event, window)["prompt_tokens_per_second"]
        window.add(event.observed_at, TOKEN_USAGE.value(event))
    assert rate == pytest.approx(625)


@pytest.mark.parametrize("absurd", ["1e+300", "-5.0"])
@pytest.mark.parametrize("restarts", [False, True])
def test_a_reading_that_is_rejected_takes_no_tokens_with_it(
    server: Scraped, exporter: Server, absurd: str, restarts: bool
) -> None:
    server.poll(vllm_page("100", "10"))
    exporter.page = vllm_page(absurd, "20")
    batch = server.fetch()
    assert (len(batch.events), len(batch.rejected)) == (0, 1)
    if restarts:
        server.restart()
    exporter.now += 15
    assert server.fetch().rejected
    (event,) = server.poll(vllm_page("300", "30"))
    assert (event.prompt_tokens, event.completion_tokens, event.span_s) == (200, 20, 30)
    (event,) = server.poll(vllm_page("301", "30"))
    assert (event.prompt_tokens, event.span_s) == (1, 15)


@pytest.mark.parametrize("absurd", ["1e+300", "-5.0"])
def test_what_no_counter_can_show_is_no_beginning(
    server: Scraped, exporter: Server, absurd: str
) -> None:
    exporter.page = vllm_page(absurd, "20")
    with pytest.raises(Transient, match="_tokens_total of llama is no count: "):
        server.fetch()
    assert not server.poll(vllm_page("300", "30"))
    (event,) = server.poll(vllm_page("400", "30"))
    assert event.prompt_tokens == 100


def test_what_a_model_used_while_the_page_left_it_out_was_used_in_all_that_time(
    server: Scraped,
) -> None:
    other = 'vllm:prompt_tokens_total{engine="0",model_name="other"} '
    server.poll(vllm_page("100", "0") + other + "5\n")
    (event,) = server.poll(other + "6\n")
    assert (event.model, event.span_s) == ("other", 15)
    found = {e.model: e for e in server.poll(vllm_page("700", "0") + other + "7\n")}
    assert (found["llama"].prompt_tokens, found["llama"].span_s) == (600, 30)
    assert (found["other"].prompt_tokens, found["other"].span_s) == (1, 15)


def replicas(**tokens: int | str) -> str:
    """A page on which the series of one model differ in a label that only some servers have."""
    return "# TYPE vllm:prompt_tokens_total counter\n" + "".join(
        f'vllm:prompt_tokens_total{{engine="0",model_name="llama",replica="{name}"}} {number}\n'
        for name, number in tokens.items()
    )


def test_series_of_one_model_are_summed_and_begin_anew_each_for_itself(server: Scraped) -> None:
    server.poll(replicas(a=30, b=20))
    used = [server.poll(replicas(a=a, b=b))[0].prompt_tokens for a, b in ((31, 25), (2, 26))]
    assert used == [6, 3]
    (event,) = server.poll(replicas(b=27, a=4))
    assert event.prompt_tokens == 3


def starts(**began: float) -> str:
    return "".join(
        f'process_start_time_seconds{{replica="{name}"}} {at}\n' for name, at in began.items()
    )


OLD = NOW - 10**6


@pytest.mark.parametrize(
    "said",
    ["", starts(c=OLD), starts(a=OLD, c=OLD), f"process_start_time_seconds {OLD}\n"],
    ids=["nothing", "its own", "all of them", "one for the page"],
)
@pytest.mark.parametrize("restarts", [False, True])
def test_a_replica_that_joins_has_not_used_all_its_life_since(
    server: Scraped, said: str, restarts: bool
) -> None:
    server.poll(replicas(a=30) + said)
    if restarts:
        server.restart()
    (event,) = server.poll(replicas(a=31, c=5_000_000) + said)
    assert event.prompt_tokens == 1
    (event,) = server.poll(replicas(a=33, c=5_000_100) + said)
    assert event.prompt_tokens == 102


def test_a_replica_that_started_since_has_used_all_that_it_shows(
    server: Scraped, exporter: Server
) -> None:
    server.poll(replicas(a=30) + starts(a=OLD))
    late = exporter.now + 5
    said = starts(a=OLD, c=late) + f"process_start_time_seconds {OLD}\n"
    (event,) = server.poll(replicas(a=31, c=400) + said)
    assert event.prompt_tokens == 401, "the start with most of its labels is its own"
    (event,) = server.poll(replicas(a=31, c=402) + said)
    assert event.prompt_tokens == 2


def test_one_start_on_a_page_is_not_that_of_replicas_with_other_labels(server: Scraped) -> None:
    server.poll(replicas(a=300, b=20) + starts(a=OLD))
    (event,) = server.poll(replicas(a=310, b=21) + starts(a=NOW))
    assert event.prompt_tokens == 311


def test_a_model_that_joins_is_told_of_from_there_on(server: Scraped) -> None:
    other = 'vllm:prompt_tokens_total{engine="0",model_name="other"} '
    server.poll(vllm_page("100", "0"))
    (event,) = server.poll(vllm_page("101", "0") + other + "70000\n")
    assert (event.model, event.prompt_tokens) == ("llama", 1)
    found = {e.model: e for e in server.poll(vllm_page("101", "0") + other + "70002\n")}
    assert (found["other"].prompt_tokens, found["other"].span_s) == (2, 15)


@pytest.mark.parametrize("absurd", ["1e+300", "-5"])
def test_what_no_counter_can_show_is_no_beginning_of_a_replica(
    server: Scraped, exporter: Server, absurd: str
) -> None:
    server.poll(replicas(a=30))
    exporter.page = replicas(a=31, c=absurd)
    assert server.fetch().rejected
    (event,) = server.poll(replicas(a=32, c=7000))
    assert event.prompt_tokens == 2
    (event,) = server.poll(replicas(a=32, c=7001))
    assert event.prompt_tokens == 1


def test_a_reading_that_is_rejected_takes_none_of_a_replica_that_joins(
    server: Scraped, exporter: Server
) -> None:
    server.poll(replicas(a=30))
    said = starts(d=exporter.now + 5)
    exporter.page = replicas(a="1e+300", c=7000, d=40) + said
    exporter.now += 15
    assert server.fetch().rejected
    (event,) = server.poll(replicas(a=31, c=7100, d=50) + said)
    assert event.prompt_tokens == 1 + 100 + 50


def kept_counters(state: Path) -> list[Any]:
    kept = msgspec.json.decode((state / "counters.json").read_bytes())
    assert len(kept["missing"]) <= len(kept["counters"])
    return list(kept["counters"])


def test_replicas_that_come_and_go_are_not_kept_for_ever(server: Scraped, tmp_path: Path) -> None:
    for number in range(140):
        server.poll(replicas(a=number, **{f"pod-{number}": number}), after=30)
    assert len(kept_counters(tmp_path)) == 2 + 3600 / 30


def other_model(tokens: int) -> str:
    return f'vllm:prompt_tokens_total{{engine="0",model_name="other"}} {tokens}\n'


def test_a_model_that_is_away_for_an_hour_loses_no_tokens(server: Scraped) -> None:
    server.poll(vllm_page("100", "0") + other_model(1))
    for _ in range(120):
        server.poll(other_model(1), after=30)
    found = {e.model: e for e in server.poll(vllm_page("700", "0") + other_model(1))}
    assert (found["llama"].prompt_tokens, found["llama"].span_s) == (600, 3615)
    for _ in range(60):  # and an hour begins again
        server.poll(other_model(1), after=30)
    found = {e.model: e for e in server.poll(vllm_page("701", "0") + other_model(1))}
    assert (found["llama"].prompt_tokens, found["llama"].span_s) == (1, 1815)


def test_a_model_that_is_away_for_longer_begins_where_it_stands(
    server: Scraped, tmp_path: Path
) -> None:
    server.poll(vllm_page("100", "0") + other_model(1))
    for _ in range(121):
        server.poll(other_model(1), after=30)
    assert [counter[1] for counter, _ in kept_counters(tmp_path)] == ["other"]
    (event,) = server.poll(vllm_page("700", "0") + other_model(1))
    assert event.model == "other"
    found = {e.model: e for e in server.poll(vllm_page("701", "0") + other_model(1))}
    assert (found["llama"].prompt_tokens, found["llama"].span_s) == (1, 15)


def test_a_time_without_polls_takes_no_model_away(server: Scraped, exporter: Server) -> None:
    server.poll(vllm_page("100", "0") + other_model(1))
    server.poll(other_model(1))
    exporter.now += 10**5
    server.restart()
    server.poll(other_model(1))  # what is told again
    server.poll(other_model(1))
    found = {e.model: e for e in server.poll(vllm_page("130", "0") + other_model(1))}
    assert found["llama"].prompt_tokens == 30


def test_one_of_several_servers_on_a_page_that_starts_again_is_not_all_of_them(
    server: Scraped,
) -> None:
    def page(a: int, b: int, started: float) -> str:
        starts = f'process_start_time_seconds{{replica="a"}} {started}\n'
        return replicas(a=a, b=b) + starts + 'process_start_time_seconds{replica="b"} 1\n'

    server.poll(page(30, 2000, 1))
    (event,) = server.poll(page(5, 2001, 2))
    assert event.prompt_tokens == 6


@pytest.mark.parametrize(("more", "expected"), [({}, 7), ({"b": 50}, 0)])
def test_counters_that_were_kept_without_their_labels_are_not_told_from_0(
    server: Scraped, more: dict[str, int], expected: int
) -> None:
    server.poll(vllm_page("100", "0"))
    (event,) = server.poll(replicas(a=107, **more))
    assert event.prompt_tokens == expected
    (event,) = server.poll(replicas(a=110, **more))
    assert event.prompt_tokens == 3


def test_a_server_that_started_again_is_known_by_its_start(server: Scraped) -> None:
    """Its counters may have passed the old ones by then."""

    def page(tokens: int, started: float) -> str:
        return vllm_page(str(tokens), str(tokens)) + f"process_start_time_seconds {started}\n"

    server.poll(vllm_page("100", "100"))  # it does not say yet when it started
    (event,) = server.poll(page(110, NOW))
    assert event.prompt_tokens == 10
    server.restart()
    server.poll(page(120, NOW))
    (event,) = server.poll(page(120, NOW))
    assert event.prompt_tokens == 10
    (event,) = server.poll(page(400, NOW + 20))
    assert (event.prompt_tokens, event.completion_tokens) == (400, 400)


def test_servers_that_answer_in_turn_at_one_url_are_rejected_and_not_taken_for_restarts(
    server: Scraped, exporter: Server
) -> None:
    def page(tokens: int, started: float) -> str:
        return vllm_page(str(tokens), "0") + f"process_start_time_seconds {started}\n"

    server.poll(page(1_000_000, OLD))
    for tokens, started in ((500_000, OLD + 5), (5, -1e300), (1_000_050, OLD)):
        exporter.page = page(tokens, started)
        exporter.now += 15
        batch = server.fetch()
        assert not batch.events
        (rejected,) = batch.rejected
        assert "give each its own URL and producer" in rejected.reason
    (event,) = server.poll(page(1_000_060, OLD))
    assert event.prompt_tokens == 10
    (event,) = server.poll(page(7, exporter.now + 10))
    assert event.prompt_tokens == 7, "that was a restart"


def test_counters_that_get_smaller_are_told_where_no_start_says_why(server: Scraped) -> None:
    server.poll(vllm_page("1000", "10"))
    with capture_logs() as said:
        server.poll(vllm_page("1001", "10"))
        assert not said
        (event,) = server.poll(vllm_page("300", "3"))
    assert event.prompt_tokens == 300
    (line,) = said
    assert (line["log_level"], line["model"]) == ("warning", "llama")
    assert "its own URL and producer" in line["hint"]


def test_a_counter_that_a_page_leaves_out_once_is_not_told_again(server: Scraped) -> None:
    server.poll(vllm_page("1000", "10"))
    (event,) = server.poll('vllm:generation_tokens_total{engine="0",model_name="llama"} 20\n')
    assert (event.prompt_tokens, event.completion_tokens) == (0, 10)
    (event,) = server.poll(vllm_page("1005", "20"))
    assert (event.prompt_tokens, event.completion_tokens) == (5, 0)


def test_counters_that_were_kept_before_a_start_was_are_read(
    server: Scraped, tmp_path: Path
) -> None:
    server.poll(vllm_page("1000", "10"))
    state = tmp_path / "counters.json"
    older = msgspec.json.decode(state.read_bytes())
    del older["started"], older["behind"], older["missing"]
    state.write_bytes(msgspec.json.encode(older))
    server.restart()
    (event,) = server.poll(vllm_page("1500", "10"))
    assert event.prompt_tokens == 500


def test_another_server_has_other_counters(server: Scraped, exporter: Server) -> None:
    server.poll(vllm_page("100", "10"))
    exporter.url += "/other"
    server.restart()
    assert not server.poll(vllm_page("1000", "100"))


def test_what_was_told_of_a_server_is_told_again_though_another_is_asked(
    server: Scraped, exporter: Server
) -> None:
    server.poll(vllm_page("100", "10"))
    (event,) = server.poll(vllm_page("1334", "10"))
    exporter.url += "/other"
    for _ in range(2):
        server.restart()
        assert server.poll(vllm_page("7", "0")) == [event]
    assert not server.poll(vllm_page("7", "0"))
    (event,) = server.poll(vllm_page("9", "0"))
    assert event.prompt_tokens == 2


def test_counters_that_cannot_be_read_are_none(server: Scraped, tmp_path: Path) -> None:
    server.poll(vllm_page("100", "10"))
    (tmp_path / "counters.json").write_text("{")
    server.restart()
    assert not server.poll(vllm_page("200", "20"))


steps = st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**6), st.booleans()), max_size=8)


@given(st.dictionaries(st.sampled_from(["0", "1"]), steps, min_size=1))
def test_all_tokens_of_all_engines_are_told_once(engines: dict[str, Any]) -> None:
    """Counters of several engines grow, and begin anew now and then."""
    counters = dict.fromkeys(engines, (5.0, 7.0))

    def read() -> dict[vllm_counters.Counter, float]:
        names = (vllm_counters.PROMPT, vllm_counters.COMPLETION)
        return vllm_counters.read(
            Sample(name, {"model_name": "m", "engine": engine}, value)
            for engine, values in counters.items()
            for name, value in zip(names, values, strict=True)
        )

    before = read()
    for turn in range(max(map(len, engines.values()))):
        prompts = completions = 0
        for engine, moves in engines.items():
            if turn >= len(moves):
                continue
            prompt, completion, restarts = moves[turn]
            old = counters[engine]
            # That a counter begins anew can be seen only where it has not come as far again.
            if restarts and prompt < old[0] and completion < old[1]:
                counters[engine] = (prompt, completion)
            else:
                counters[engine] = (old[0] + prompt, old[1] + completion)
            prompts += prompt
            completions += completion
        now = read()
        told = vllm_counters.normalise(before, now)
        found = [(used["prompt_tokens"], used["completion_tokens"]) for used in told]
        assert found == [(prompts, completions)]
        before = now


names = st.sampled_from(
    [
        *sorted(dcgm.NAMES),
        *sorted(nvidia_smi.NAMES),
        *sorted(vllm_counters.NAMES),
    ]
)
labels = st.fixed_dictionaries(
    {},
    optional={
        "gpu": st.sampled_from(["0", "1", "x", "", "²", "9999999"]) | st.text(max_size=3),
        "Hostname": st.sampled_from(["a", "b/c", ""]),
        "modelName": st.text(max_size=3),
        "model_name": st.text(max_size=3),
        "uuid": st.sampled_from(["a", "b"]),
        "index": st.sampled_from(["0", "x", ""]),
        "name": st.text(max_size=3),
        "GPU_I_ID": st.sampled_from(["", "1"]),
    },
)
samples = st.lists(
    st.builds(Sample, names, labels, st.floats(allow_nan=False, allow_infinity=False)), max_size=20
)


ABSURD = [
    Sample("vllm:generation_tokens_total", {"model_name": "m", "engine": engine}, value)
    for engine, value in (("0", 1.7e308), ("1", 1.7e308))
]


@given(samples, samples)
@example([], ABSURD)
@example(ABSURD, [sample._replace(value=-sample.value) for sample in ABSURD])
def test_whatever_is_scraped_the_processor_takes_what_is_not_rejected(
    first: list[Sample], second: list[Sample]
) -> None:
    take = {GPU_METRICS: decoder(GPU_METRICS), TOKEN_USAGE: decoder(TOKEN_USAGE)}
    for found in (
        *dcgm.normalise(first, PLACE, NOW, simulated=False),
        *nvidia_smi.normalise(first, PLACE, NOW, simulated=False),
    ):
        if isinstance(found, GpuMetrics):
            assert take[GPU_METRICS](msgspec.json.encode(found)) == found
    for fields in vllm_counters.normalise(vllm_counters.read(first), vllm_counters.read(second)):
        event = usage("vllm", PLACE, fields, "", NOW, simulated=False)
        if isinstance(event, TokenUsage):
            assert take[TOKEN_USAGE](msgspec.json.encode(event)) == event


@given(st.text() | st.text(alphabet='a{}="1 \n#,.e'))
def test_any_text_is_samples_or_a_transient_error(text: str) -> None:
    try:
        found = scrape.parse(text.encode(errors="replace"))
    except Transient:
        return
    assert all(math.isfinite(sample.value) for sample in found)
