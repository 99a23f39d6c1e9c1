"""Tables of what is said, and what is computed of them."""

import io
from datetime import timedelta
from zoneinfo import ZoneInfo

import pandas as pd
import pytest
from services.tests.api.world import AUTHORIZED, World, gpu_document, stored, usage_document
from services.tests.feeds.events import START, metal, quote

from millrace.clients.services import Peer
from millrace.dashboard import figures, frames, health, queries
from millrace.dashboard.health import State

SAID = (
    World(
        stored(metal(2000.0, hours=1)),
        stored(quote(10.0, seconds=3)),
        gpu_document(3),
        usage_document(10, 20, 5),
    )
    .app()
    .test_client()
)


def said(path: str) -> dict[str, list[dict[str, object]]]:
    return dict(SAID.get(path, headers=AUTHORIZED).get_json())


def test_each_table_has_its_columns_also_without_rows() -> None:
    for made, columns in (
        (frames.prices([]), frames.PRICES),
        (frames.gpus([]), frames.GPUS),
        (frames.costs([]), frames.COSTS),
        (frames.lag({"checks": {"kafka": {"status": "unavailable"}}}), frames.LAG),
        (frames.tables({"tables": []}), frames.TABLES),
    ):
        assert {name: str(kind) for name, kind in made.dtypes.items()} == columns


def test_prices_are_those_of_events() -> None:
    found = frames.prices(
        [*said("/v1/metals/latest")["events"], *said("/v1/quotes/latest")["events"]]
    )
    assert {name: str(kind) for name, kind in found.dtypes.items()} == frames.PRICES
    assert found["price"].tolist() == [2000.0, 10.0]
    assert found["at"][0] == pd.Timestamp("2026-01-02 16:00:00")
    assert found["volume"].tolist()[1] == 100
    assert found["change_pct"].isna().all()
    assert found["simulated"].tolist() == [True, True]
    # A token's event has no price of its own.
    assert frames.prices(said("/v1/token_usage/latest")["events"]).empty


def test_gpus_and_costs_are_those_of_the_api() -> None:
    [gpu] = frames.gpus(said("/v1/gpu_metrics/latest")["events"]).to_dict("records")
    assert (gpu["gpu"], gpu["utilization"], gpu["power_w"]) == ("gpu-host/0", 71.0, 281.44)
    path = "/v1/token_usage/cost?from=2026-01-02T15:00:00Z&to=2026-01-02T16:00:00Z&bucket=hour"
    [cost] = frames.costs(said(path)["costs"]).to_dict("records")
    assert cost["tokens"] == 30
    assert cost["cost_per_million_tokens"] == pytest.approx(0.85 / 30 * 1e6)
    unknown = {**said(path)["costs"][0], "cost_per_token": None}
    assert frames.costs([unknown])["cost_per_million_tokens"].isna().all()


def prices(*of: tuple[float, str, float]) -> pd.DataFrame:
    """Prices by minutes after the start, symbol and value."""
    start = START.replace(tzinfo=None)
    return pd.DataFrame(
        [
            {
                "at": start + timedelta(minutes=m),
                "symbol": symbol,
                "price": value,
                "currency": "USD",
                "volume": 1.0,
            }
            for m, symbol, value in of
        ]
    ).astype({"at": "datetime64[us]"})


def test_candles_are_of_prices_in_the_order_of_their_times() -> None:
    found = prices((0.9, "A", 4), (0.1, "A", 2), (0.5, "A", 1), (0.5, "B", 9), (1.0, "A", 7))
    made = frames.candles(found, timedelta(minutes=1))
    rows = made[["symbol", "open", "high", "low", "close", "volume"]].to_numpy().tolist()
    assert rows == [["A", 2, 4, 1, 4, 3], ["B", 9, 9, 9, 9, 1], ["A", 7, 7, 7, 7, 1]]


def test_symbols_are_compared_by_their_first_prices() -> None:
    found = prices((1, "A", 30), (0, "A", 20), (5, "B", 4), (9, "B", 3)).rename(
        columns={"price": "close"}
    )
    assert frames.compared(found)["percent"].tolist() == [100, 150, 100, 75]


def test_times_are_shown_in_a_zone_and_downloaded_in_utc() -> None:
    found = prices((0, "A", 1))
    shown = frames.in_zone(found, ZoneInfo("Asia/Kathmandu"))
    assert shown["at"][0] == pd.Timestamp("2026-01-02 20:45")
    assert frames.as_csv(found).splitlines()[1].startswith(b"2026-01-02T15:00:00.000000Z,A,1")
    read = pd.read_parquet(io.BytesIO(frames.as_parquet(found)))
    assert read["at"][0] == START
    assert read.drop(columns="at").equals(found.drop(columns="at"))


def test_ages_are_in_words() -> None:
    found = [frames.ago(seconds) for seconds in (-3, 0, 119, 120, 7199, 7200, 172_800, 1e8)]
    assert found == [
        "0 s ago",
        "0 s ago",
        "119 s ago",
        "2 min ago",
        "120 min ago",
        "2 h ago",
        "2 d ago",
        "1,157 d ago",
    ]


def test_no_range_has_more_candles_than_a_chart_shows() -> None:
    for length in queries.RANGES.values():
        assert length / queries.step_of(length) <= queries.MOST_BARS
    assert queries.step_of(queries.RANGES["1 year"]) == queries.DAY
    assert queries.step_of(timedelta(minutes=3)) == timedelta(minutes=1)


def test_charts_say_what_was_invented() -> None:
    assert figures.titled("IBM", simulated=True) == "IBM (simulated)"
    assert figures.titled("IBM", simulated=False) == "IBM"


def test_charts_have_what_the_tables_have() -> None:
    made = frames.candles(prices((0, "A", 2), (0.5, "A", 5), (3, "A", 1)), timedelta(minutes=1))
    candles, volume = figures.candles(made, "A", "UTC").data
    assert list(candles.close) == made["close"].tolist()
    assert list(volume.y) == [2, 1]
    drawn = figures.lines(made, "close", ["symbol"], "A", "USD", "UTC")
    assert [trace.name for trace in drawn.data] == ["A"]
    assert drawn.layout.title.text == "A"
    empty = figures.candles(made.head(0), "A", "UTC")
    assert len(empty.data[0].close) == 0


PEERS = [
    Peer("producer-stocks", ready=True, says={"state": "polling", "published": 7}),
    Peer("archiver", ready=False, says={"problem": "the catalog is away"}),
]


def test_every_component_has_a_state() -> None:
    world = World()
    world.lag[0] = world.lag[0]
    client = world.app().test_client()
    good = client.get("/health", headers=AUTHORIZED).get_json()
    found = {part.name: part for part in health.parts(good, "", PEERS)}
    assert {name: part.state for name, part in found.items()} == {
        "API": State.OK,
        "Kafka": State.OK,
        "MongoDB": State.OK,
        "Redis": State.OK,
        "processor": State.OK,
        "producer-stocks": State.OK,
        "archiver": State.BAD,
    }
    assert found["archiver"].says == "problem: the catalog is away"
    assert found["producer-stocks"].says == "state: polling, published: 7"


def test_a_server_that_is_away_is_bad_and_what_only_it_knows_is_not_guessed() -> None:
    world = World()
    world.down = {"kafka"}
    bad = world.app().test_client().get("/health", headers=AUTHORIZED).get_json()
    states = {part.name: part.state for part in health.parts(bad, "", [])}
    assert (states["Kafka"], states["MongoDB"]) == (State.BAD, State.OK)
    assert health.sample(bad, 1.0) is None
    silent = {part.name: part.state for part in health.parts(None, "it is away", [])}
    assert silent == {
        "API": State.BAD,
        **dict.fromkeys(["Kafka", "MongoDB", "Redis", "processor"], State.UNKNOWN),
    }


def test_throughput_is_what_was_added_between_two_looks() -> None:
    def look(at: float, end: int, lag: int) -> health.Sample:
        partition = {"topic": "stock-data", "partition": 0, "end": end, "lag": lag, "held": True}
        found = health.sample({"checks": {"kafka": {"partitions": [partition]}}}, at)
        assert found
        return found

    rates = health.throughput([look(10, 100, 50), look(15, 110, 10), look(20, 110, 0)])
    assert [(r["seconds"], r["published"], r["stored"]) for r in rates] == [(-5, 2, 10), (0, 0, 2)]
    assert health.throughput([look(10, 100, 50)]) == []


def test_the_drawing_says_states_in_words() -> None:
    parts = health.parts(None, "away", PEERS)
    drawn = health.drawing(parts)
    assert '"producers" [label="producers\\nok"' in drawn
    assert '"Kafka" [label="Kafka\\nunknown"' in drawn
    assert '"producers" -> "Kafka"' in drawn
    assert "warehouse" not in drawn
