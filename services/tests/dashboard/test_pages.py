"""Each page as its viewer gets it: with numbers, and without the API, or without a warehouse."""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import streamlit as st
from services.tests.api.world import AUTHORIZED, World, gpu_document, stored, usage_document
from services.tests.feeds.events import metal, quote, stock
from services.tests.warehouse.test_models import Built
from streamlit.testing.v1 import AppTest

from millrace.clients import services
from millrace.clients.services import Peer
from millrace.config import Settings
from millrace.dashboard import load
from millrace.dashboard.api import Api
from millrace.dashboard.load import Sources
from millrace.dashboard.warehouse import Warehouse
from millrace.sources.asking import Answer
from millrace.sources.base import Transient

PAGES = ("market", "metals", "gpus", "pipeline", "quality", "archive")
SECONDS = 120
TABLE = {"feed": "quotes", "rows": 12, "files": 3, "bytes": 4_500_000, "snapshots": 2}
ARCHIVER = Peer("archiver", ready=True, says={"tables": [TABLE], "trouble": []})
Shown = Callable[..., AppTest]


class Outside:
    """What the pages ask."""

    def __init__(self, warehouse: Path) -> None:
        self.world = World(
            stored(metal(2000.0, hours=1)),
            stored(stock(10.5, minutes=3, symbol="IBM", open=9, high=11, low=8, volume=5)),
            stored(quote(10.25, seconds=3)),
            gpu_document(3),
            usage_document(10, 20, 5),
        )
        self.warehouse = Warehouse(warehouse)
        self.peers = {"archiver": ARCHIVER, "producer-a": Peer("producer-a", ready=True, says={})}
        self.silent = False

    def ask(self, path: str, parameters: Mapping[str, str]) -> Answer:
        if self.silent:
            raise Transient("no answer: refused")
        client = self.world.app().test_client()
        answer = client.get(path, query_string=dict(parameters), headers=AUTHORIZED)
        return Answer(answer.status_code, dict(answer.headers), answer.data)


@pytest.fixture
def outside(built: Built, monkeypatch: pytest.MonkeyPatch) -> Iterator[Outside]:
    found = Outside(built.settings.warehouse_file)
    settings = Settings(archiver_host="archiver", status_hosts=["producer-a"])
    with ThreadPoolExecutor(2) as threads:
        sources = Sources(settings, Api(found.ask), found.warehouse, threads)
        monkeypatch.setattr(load, "sources", lambda: sources._replace(warehouse=found.warehouse))
        monkeypatch.setattr(services, "ask", lambda _settings, host: found.peers[host])
        st.cache_data.clear()
        yield found
        found.warehouse.close()


def shown(page: str, **parameters: str | list[str]) -> AppTest:
    """A page, run once."""
    script = f"from millrace.dashboard import {page}\n{page}.page()"
    at = AppTest.from_string(script, default_timeout=SECONDS)
    for name, value in parameters.items():
        at.query_params[name] = value
    at.run()
    assert not at.exception, at.exception
    return at


def metrics(at: AppTest) -> dict[str, str]:
    return {metric.label: metric.value for metric in at.metric}


def charts(at: AppTest) -> list[str]:
    return [chart.proto.spec for chart in at.get("plotly_chart")]


def test_the_market_has_the_prices_of_the_api_and_of_the_warehouse(
    outside: Outside,
) -> None:
    at = shown("market", source="stocks from replay in USD")
    assert metrics(at) == {"IBM · stocks, USD": "10.50", "IBM · quotes, USD": "10.25"}
    assert not at.error
    query = "select close from prices_daily where source = 'replay' order by started_at"
    closes = outside.warehouse.read(query)["close"].tolist()
    [chart] = charts(at)
    assert len(closes) > 10
    [table] = [frame.value for frame in at.dataframe if "close" in frame.value]
    assert table["close"].tolist() == closes
    assert "stocks from replay" in chart
    assert "simulated" not in chart


def test_what_was_invented_is_marked_wherever_it_is(outside: Outside) -> None:
    at = shown("market", source="quotes from test in USD (simulated)")
    badges = [one.value for one in at.markdown if "simulated" in one.value]
    # The latest quote, and the series. The share's price is real.
    assert len(badges) == 2, badges
    assert "(simulated)" in charts(at)[0]


def test_symbols_are_compared_and_alerts_listed(outside: Outside) -> None:
    source = "stocks from test in USD (simulated)"
    at = shown("market", source=source, symbols=["AAPL", "IBM"], range="All")
    assert len(charts(at)) == 2, [e.value for e in at.error]
    query = "select count(*) as n from stock_alerts where source = 'test' and currency = 'USD'"
    [alerts] = outside.warehouse.read(query)["n"].tolist()
    assert alerts
    assert any(f"{alerts} moves" in one.value for one in at.markdown)


def test_the_newest_prices_are_from_the_api(outside: Outside) -> None:
    at = shown("market", source="quotes from test in USD (simulated)", range="Newest")
    # Of the last month there is none in this world.
    assert any("Nothing came from this source" in info.value for info in at.info), at.info


def test_metals_gpus_and_tokens_have_numbers(outside: Outside) -> None:
    at = shown("metals", metals_range="All")
    assert metrics(at) == {"XAU · metals, USD": "2,000.00"}
    assert charts(at)
    assert not at.error
    at = shown("gpus", gpus_range="All")
    assert metrics(at)["Power"] == "281 W"
    assert len(charts(at)) == 4
    assert not at.error


def test_the_pipeline_is_well_and_says_what_flows(outside: Outside) -> None:
    at = shown("pipeline")
    assert [one.value for one in at.success] == ["Every component is well."]
    assert metrics(at) == {
        "Published": "…",
        "Stored": "…",
        "Consumer lag": "4",
        "Dead letters": "2",
    }


def test_a_broker_that_is_away_is_shown(outside: Outside) -> None:
    outside.world.down = {"kafka"}
    at = shown("pipeline")
    assert at.error[0].value.startswith("Not well: Kafka (not well), processor (not well)")
    assert metrics(at)["Consumer lag"] == "unknown"


def test_quality_says_what_is_stale_and_what_is_missing(outside: Outside) -> None:
    at = shown("quality")
    query = "select feed from feed_freshness where status = 'stale'"
    stale = {*outside.warehouse.read(query)["feed"]}
    # Also the feed of the newest events, if the build was late on a busy machine.
    assert {"gpu_metrics", "metals", "token_usage"} <= stale
    assert {warning.value.split()[0] for warning in at.warning} == stale
    assert len(charts(at)) == 3
    assert not at.error


def test_the_archive_is_that_of_the_archiver(outside: Outside) -> None:
    assert metrics(shown("archive")) == {
        "Rows": "12",
        "Files": "3",
        "Size": "4.5 MB",
        "Snapshots": "2",
    }


def test_an_archiver_that_has_nothing_to_say_is_no_failure(outside: Outside) -> None:
    outside.peers["archiver"] = Peer("archiver", ready=False, says={"problem": "it is away"})
    assert "it is away" in shown("archive").error[0].value


@pytest.mark.parametrize("page", PAGES)
def test_without_api_and_warehouse_a_page_says_what_to_do(
    outside: Outside, page: str, tmp_path: Path
) -> None:
    outside.silent = True
    outside.warehouse = Warehouse(tmp_path / "no.duckdb")
    at = shown(page)
    said = " ".join(error.value for error in at.error)
    if page != "archive":
        assert "make status" in said or "millrace warehouse build" in said


def test_a_pipeline_without_events_is_no_failure(outside: Outside) -> None:
    outside.world.memory.documents.clear()
    for page in ("market", "metals", "gpus"):
        st.cache_data.clear()
        at = shown(page)
        assert at.info
        assert not at.error
