"""Feed gpu_metrics, the prices of GPUs, and the documents that others look them up in."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from services.tests.feeds.events import START, gpu

from millrace.feeds import gpus
from millrace.feeds.gpu_metrics import GPU_METRICS, derive
from millrace.feeds.gpus import GPUS, price_at
from millrace.feeds.history import Nothing
from millrace.processor.decode import decoder
from millrace.processor.errors import BadRecord

NOTHING = Nothing(timedelta(0))


def test_the_two_gpus_have_their_prices() -> None:
    prices = {d["name"]: (d["gpu_index"], d["price_per_hour_usd"]) for d in GPUS.documents}
    assert prices == {"RTX 3090": (0, 0.85), "A100 40GB": (1, 3.2)}
    assert {index.keys for index in GPUS.indexes} == {(("name", 1),), (("gpu_index", 1),)}


def test_the_table_of_prices_is_read_by_its_days() -> None:
    prices = gpus._load()
    assert prices == gpus._PRICES, "what was read when the module was"
    assert [price.since for price in prices] == sorted(price.since for price in prices)


@pytest.mark.parametrize("name", ["A100 40GB", "NVIDIA A100-PCIE-40GB", "NVIDIA A100-SXM4-40GB"])
def test_a_gpu_has_its_price_under_the_names_that_drivers_give_it(name: str) -> None:
    assert price_at(name, START) == 3.2


def test_a_price_holds_from_its_day_on(monkeypatch: pytest.MonkeyPatch) -> None:
    newer = msgspec.structs.replace(
        gpus._PRICES[0], name="RTX 3090", usd_per_hour=0.4, since=START.date()
    )
    monkeypatch.setattr(gpus, "_PRICES", [*gpus._PRICES, newer])
    assert price_at("RTX 3090", datetime(2025, 9, 19, 23, 59, tzinfo=UTC)) is None
    assert price_at("RTX 3090", START - timedelta(days=1)) == 0.85
    midnight = datetime(2026, 1, 2, tzinfo=UTC)
    assert price_at("RTX 3090", midnight - timedelta(microseconds=1)) == 0.85
    assert price_at("RTX 3090", midnight) == price_at("RTX 3090", START) == 0.4
    for now, price in ((START - timedelta(days=1), 0.85), (midnight, 0.4)):
        shown = {d["name"]: d["price_per_hour_usd"] for d in gpus.documents(now)}
        assert shown == {"RTX 3090": price, "A100 40GB": 3.2}
    assert gpus.documents(START)[0] == {
        "_id": "RTX 3090",
        "gpu_index": 0,
        "name": "RTX 3090",
        "price_per_hour_usd": 0.4,
        "ts": datetime(2026, 1, 2, tzinfo=UTC),
    }
    unborn = gpus.documents(datetime(2020, 1, 1, tzinfo=UTC))
    assert [d["price_per_hour_usd"] for d in unborn] == [0.85, 3.2]


def test_a_gpu_that_the_table_does_not_name_has_no_price() -> None:
    assert price_at("Voodoo 2", START) is None
    assert price_at(None, START) is None


def test_how_full_the_memory_is() -> None:
    assert derive(gpu(1.0), NOTHING) == {"mem_used_pct": 25.0, "price_per_hour_usd": 0.85}
    unknown = derive(gpu(1.0, mem_used_mb=None, price_per_hour_usd=9.0), NOTHING)
    assert unknown == {"mem_used_pct": None, "price_per_hour_usd": 9.0}
    assert derive(gpu(1.0, mem_total_mb=0.0), NOTHING)["mem_used_pct"] is None


def test_the_document() -> None:
    event = gpu(None, uuid="GPU-1", energy_j=5.0)
    assert GPU_METRICS.document(event, {}) == {
        "schema_version": 1,
        "feed": "gpu_metrics",
        "symbol": "gpu-host/0",
        "host": "gpu-host",
        "gpu_index": 0,
        "name": "RTX 3090",
        "uuid": "GPU-1",
        "utilization": None,
        "mem_used_mb": 6144.0,
        "mem_total_mb": 24576.0,
        "power_w": 281.44,
        "temp_c": 66.0,
        "energy_j": 5.0,
        "price_per_hour_usd": None,
        "ts": START,
        "source": "test",
        "simulated": True,
        "timestamp_utc": START,
        "produced_at": START,
        "meta": {},
    }


def test_a_symbol_that_is_of_another_gpu_is_said() -> None:
    other = msgspec.to_builtins(gpu(71.0)) | {"symbol": "gpu-host/1"}
    with pytest.raises(BadRecord, match=r"^the symbol is not host/gpu_index$"):
        decoder(GPU_METRICS)(msgspec.json.encode(other))


@pytest.mark.parametrize(
    "change",
    [
        {"utilization": 100.1},
        {"utilization": -1},
        {"mem_used_mb": "24576"},
        {"gpu_index": -1},
        {"power_w": -1},
    ],
)
def test_what_cannot_be_is_a_dead_letter(change: dict[str, Any]) -> None:
    good = msgspec.to_builtins(gpu(71.0))
    decode = decoder(GPU_METRICS)
    decode(msgspec.json.encode(good))
    with pytest.raises(BadRecord):
        decode(msgspec.json.encode(good | change))
