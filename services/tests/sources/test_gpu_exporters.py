"""dcgm and vllm: pages as the exporters write them, over HTTP, and whatever else may come."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from services.tests.sources.exporter import NOW, Server

from millrace.errors import ConfigurationError
from millrace.feeds import gpus
from millrace.feeds.gpu_metrics import GPU_METRICS, GpuMetrics
from millrace.feeds.token_usage import TOKEN_USAGE, TokenUsage
from millrace.processor.decode import decoder
from millrace.sources import dcgm, scrape, vllm
from millrace.sources.base import Auth, Permanent, SourceError, Transient
from millrace.sources.dcgm import Dcgm
from millrace.sources.gpus import Place, usage
from millrace.sources.scrape import Exporter, Sample
from millrace.sources.vllm import Vllm

PLACE = Place("here", 1, "A100 40GB")

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


def dcgm_source(server: Server) -> Dcgm:
    return Dcgm(Exporter(server.url), PLACE, server.clock)


class Scraped:
    """A vLLM server that is polled now and then."""

    def __init__(self, server: Server, state: Path) -> None:
        self._server = server
        self._state = state / "counters.json"
        self.restart()

    def restart(self) -> None:
        """Of the producer, which may have another server to ask now."""
        self._source = Vllm(Exporter(self._server.url), PLACE, self._state, self._server.clock)

    def poll(self, page: str, after: float = 15) -> list[TokenUsage]:
        self._server.page = page
        self._server.now += after
        batch = self._source.fetch("metrics")
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


def test_dcgm_rejects_a_gpu_that_cannot_be_and_keeps_the_other(exporter: Server) -> None:
    exporter.page = DCGM_PAGE.replace("} 71", "} 171")
    batch = dcgm_source(exporter).fetch("metrics")
    assert [event.symbol for event in batch.events] == ["box/1"]
    (rejected,) = batch.rejected
    assert rejected.symbol == "box/0"
    assert "utilization" in rejected.reason


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
        (200, "up 1\n", Permanent),
        (200, "", Permanent),
    ],
)
def test_failures_have_their_kind(
    exporter: Server, tmp_path: Path, status: int, page: str, kind: type[SourceError]
) -> None:
    exporter.status, exporter.page = status, page
    for source in (dcgm_source(exporter), Vllm(Exporter(exporter.url), PLACE, tmp_path / "state")):
        with pytest.raises(SourceError) as caught:
            source.fetch("metrics")
        assert type(caught.value) is kind


def test_nobody_there_is_transient(exporter: Server) -> None:
    exporter.close()
    with pytest.raises(Transient):
        dcgm_source(exporter).fetch("metrics")
    exporter.__init__()  # type: ignore[misc]


def test_without_a_url_there_is_nothing_to_scrape(settings: Any) -> None:
    for source in (dcgm, vllm):
        with pytest.raises(ConfigurationError, match="PRODUCER_URL"):
            source.from_settings(settings(producer_interval_seconds=10))


def test_vllm_that_is_polled_too_seldom_for_a_rate_is_refused(settings: Any) -> None:
    values = {"producer_source": "vllm", "producer_url": "http://127.0.0.1:9/metrics"}
    vllm.from_settings(settings(**values, producer_interval_seconds=30))
    with pytest.raises(ConfigurationError, match="30 seconds"):
        vllm.from_settings(settings(**values))


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


def test_vllm_says_also_that_nothing_was_used(server: Scraped) -> None:
    assert not server.poll(vllm_page("1.0e+06", "2.0e+05"))
    for _ in range(2):
        (event,) = server.poll(vllm_page("1.0e+06", "2.0e+05"))
        assert (event.prompt_tokens, event.completion_tokens, event.latency_ms) == (0, 0, None)


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
    again, event = server.poll(vllm_page("500", "40"), 600)
    assert again == known, "nobody knows whether it was published"
    assert (event.prompt_tokens, event.completion_tokens, event.span_s) == (300, 30, 600)
    (event,) = server.poll(vllm_page("501", "40"))
    assert event.prompt_tokens == 1


def test_another_server_has_other_counters(server: Scraped, exporter: Server) -> None:
    server.poll(vllm_page("100", "10"))
    exporter.url += "/other"
    server.restart()
    assert not server.poll(vllm_page("1000", "100"))


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

    def read() -> dict[vllm.Counter, float]:
        names = (vllm.PROMPT, vllm.COMPLETION)
        return vllm.read(
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
        told = vllm.normalise(before, now)
        found = [(used["prompt_tokens"], used["completion_tokens"]) for used in told]
        assert found == [(prompts, completions)]
        before = now


names = st.sampled_from(
    [
        *(dcgm.PREFIX + name for name in (dcgm.UTILIZATION, dcgm.ENGINES, dcgm.USED, dcgm.FREE)),
        *(dcgm.PREFIX + name for name in (dcgm.POWER, dcgm.TEMPERATURE, dcgm.ENERGY)),
        *vllm.NAMES,
    ]
)
labels = st.fixed_dictionaries(
    {},
    optional={
        "gpu": st.sampled_from(["0", "1", "x", "", "²", "9999999"]) | st.text(max_size=3),
        "Hostname": st.sampled_from(["a", "b/c", ""]),
        "modelName": st.text(max_size=3),
        "model_name": st.text(max_size=3),
        "GPU_I_ID": st.sampled_from(["", "1"]),
    },
)
samples = st.lists(
    st.builds(Sample, names, labels, st.floats(allow_nan=False, allow_infinity=False)), max_size=20
)


@given(samples, samples)
def test_whatever_is_scraped_the_processor_takes_what_is_not_rejected(
    first: list[Sample], second: list[Sample]
) -> None:
    take = {GPU_METRICS: decoder(GPU_METRICS), TOKEN_USAGE: decoder(TOKEN_USAGE)}
    for found in dcgm.normalise(first, PLACE, NOW, simulated=False):
        if isinstance(found, GpuMetrics):
            assert take[GPU_METRICS](msgspec.json.encode(found)) == found
    for fields in vllm.normalise(vllm.read(first), vllm.read(second)):
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
