"""A range of the past: published once, with the ids it always has, and without any state."""

import gzip
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from millrace import sources
from millrace.config import Settings
from millrace.errors import ConfigurationError
from millrace.events import Event
from millrace.producer import backfill
from millrace.producer.backfill import CHUNK, Interrupted, in_parts
from millrace.runtime import logging
from millrace.sources import making, replay, vllm
from millrace.sources.base import Historical, Paced

FIRST = date(2013, 1, 1)
DAYS = 90
ROW = "{name},{day},1,3,1,2,100,2\n"


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two shares on each of ninety days."""
    path = tmp_path_factory.mktemp("replay") / "stocks.csv.gz"
    days = [FIRST + timedelta(days=number) for number in range(DAYS)]
    rows = [ROW.format(name=name, day=day) for day in days for name in ("AAPL", "IBM")]
    heading = "Ticker,Date,Open,High,Low,Close,Volume,Adj Close\n"
    path.write_bytes(gzip.compress((heading + "".join(rows)).encode()))
    return path


@pytest.fixture
def make(tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Settings]:
    monkeypatch.setenv("MILLRACE_SECRETS_DIR", str(tmp_path / "none"))

    def settings(**values: Any) -> Settings:
        plain = {"producer_source": "replay", "producer_feed": "stocks", "replay_file": file}
        values = {**plain, **values}
        return Settings(producer_name="history", producer_state_dir=tmp_path, **values)

    return settings


@given(st.integers(-5, DAYS + 5), st.integers(1, DAYS))
def test_a_range_has_its_days_up_to_its_end(file: Path, begin: int, length: int) -> None:
    first = FIRST + timedelta(days=begin)
    end = first + timedelta(days=length)
    whole = replay.Replay(file, []).fetch("").events
    part = replay.Replay(file, []).between(first, end).events
    expected = [e for e in whole if first <= e.observed_at.date() < end]
    assert [e.event_id for e in part] == [e.event_id for e in expected]
    wanted = {FIRST + timedelta(days=number) for number in range(DAYS)}
    assert {e.observed_at.date() for e in part} == {d for d in wanted if first <= d < end}


def test_neighbouring_ranges_are_the_whole_without_overlap(file: Path) -> None:
    source = replay.Replay(file, ["IBM"])
    middle = FIRST + timedelta(days=31)
    parts = [source.between(FIRST, middle), source.between(middle, date(2014, 1, 1))]
    ids = [event.event_id for part in parts for event in part.events]
    assert ids == [event.event_id for event in source.fetch("").events]


def test_it_is_published_and_counted_and_leaves_no_state(
    make: Callable[..., Settings],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    published: list[Event] = []

    def publish(_: Settings, events: Sequence[Event], topic: str, __: threading.Event) -> None:
        assert topic == "stock-data"
        published.extend(events)

    monkeypatch.setattr(backfill, "publish", publish)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setattr(logging, "configure", lambda *_: None)
    backfill.run(make(), FIRST, date(2013, 2, 1))
    assert len(published) == 62
    assert capsys.readouterr().out == "published 62 events from 2013-01-01 up to 2013-02-01\n"
    assert not any(tmp_path.iterdir())


def test_rows_that_are_refused_are_counted_and_shown(
    make: Callable[..., Settings],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / "prices.csv"
    rows = ["Ticker,Date,Open,High,Low,Close,Volume"]
    rows += [
        f"IBM,{day},1,1,1,{price},1" for day, price in (("2013-01-02", "x"), ("2013-01-03", 1))
    ]
    file.write_text("\n".join(rows))
    monkeypatch.setattr(backfill, "publish", lambda *_: None)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setattr(logging, "configure", lambda *_: None)
    with capture_logs() as said:
        backfill.run(make(replay_file=file), FIRST, date(2013, 2, 1))
    assert [one["symbol"] for one in said] == ["prices.csv, line 2"]
    assert capsys.readouterr().out.endswith("2013-02-01, 1 rows refused\n")


@pytest.mark.parametrize(
    ("values", "first", "end", "says"),
    [
        ({}, FIRST, None, "both --from and --to"),
        ({}, None, FIRST, "both --from and --to"),
        ({}, FIRST, FIRST, "no day"),
        (
            {"producer_source": "generator", "producer_feed": "quotes"},
            FIRST,
            date(2014, 1, 1),
            r"generator does not know the past \(replay does\)",
        ),
    ],
)
def test_what_cannot_be_is_one_line(
    make: Callable[..., Settings],
    values: dict[str, Any],
    first: date | None,
    end: date | None,
    says: str,
) -> None:
    with pytest.raises(ConfigurationError, match=says):
        backfill.run(make(**values), first, end)


def event(number: int) -> Event:
    now = datetime(2013, 1, 1, tzinfo=UTC)
    return Event(
        event_id=f"e{number}",
        schema_version=1,
        feed="stocks",
        source="fake",
        simulated=False,
        symbol="IBM",
        observed_at=now,
        produced_at=now,
    )


def test_a_stop_says_how_far_it_came() -> None:
    sent: list[Event] = []
    stop = threading.Event()

    def send(events: Sequence[Event]) -> None:
        sent.extend(events)
        if len(sent) == 2 * CHUNK:
            stop.set()

    with pytest.raises(Interrupted, match="2000 of 5001"):
        in_parts([event(number) for number in range(5 * CHUNK + 1)], send, stop)
    assert len(sent) == 2 * CHUNK


def test_everything_is_sent_once_and_in_order() -> None:
    sent: list[Event] = []
    in_parts([event(number) for number in range(2 * CHUNK + 7)], sent.extend, threading.Event())
    assert [e.event_id for e in sent] == [f"e{number}" for number in range(2 * CHUNK + 7)]


def test_the_sources_are_named_for_what_they_can(make: Callable[..., Settings]) -> None:
    """The names stand where no source is made; here each is compared with what it names."""
    values: dict[tuple[str, str], dict[str, Any]] = {
        ("metals_api", "metals"): {"producer_url": "https://x"},
        ("alpha_vantage", "stocks"): {"producer_url": "https://x"},
        ("replay", "stocks"): {},
        ("generator", "quotes"): {},
        ("workload", "gpu_metrics"): {},
        ("workload", "token_usage"): {},
        ("nvml", "gpu_metrics"): {},
        ("dcgm", "gpu_metrics"): {"producer_url": "https://x"},
        ("nvidia_smi", "gpu_metrics"): {"producer_url": "https://x"},
        ("vllm", "token_usage"): {
            "producer_url": "https://x",
            "producer_interval_seconds": sources.LONGEST_INTERVALS["vllm"],
        },
        ("openai_usage", "token_usage"): {},
    }
    every = {
        (name, feed): making.make(make(producer_source=name, producer_feed=feed, **more))
        for (name, feed), more in values.items()
    }
    named = get_args(Settings.model_fields["producer_source"].annotation)
    assert {name for name, _ in every} == {*named} - {""}
    # A source whose interval alone says how much it makes keeps no rate.
    paced = tuple(
        place
        for place, source in every.items()
        if isinstance(source, Paced) and source.pace(7.0, 1.0) != source.pace(8.0, 1.0)
    )
    historical = tuple(n for (n, _), source in every.items() if isinstance(source, Historical))
    assert (paced, historical) == (sources.WITH_RATE, sources.WITH_HISTORY)
    assert sources.LONGEST_INTERVALS == {"vllm": vllm.LONGEST_INTERVAL}
