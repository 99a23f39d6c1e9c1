"""Replay: every row of the file, at its close, with an id of its own."""

import gzip
from datetime import UTC, datetime
from pathlib import Path

import pytest

from millrace.feeds.stocks import StockPrice
from millrace.sources.replay import Replay

ROWS = """Ticker,Date,Open,High,Low,Close,Volume,Adj Close
AAPL,2000-03-01,118.56,132.06,118.5,130.31,9616100,4.186662803811
AAPL,2000-07-03,52.13,54.31,52.13,53.31,1269200,3.4257
IBM,2000-03-01,102.0,105.5,100.06,100.25,10807800,78.7
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "stocks.csv.gz"
    path.write_bytes(gzip.compress(ROWS.encode()))
    return path


def test_a_row_is_an_event_at_the_close_of_its_day(file: Path) -> None:
    event = Replay(file, ["AAPL"]).fetch("").events[0]
    assert isinstance(event, StockPrice)
    assert event.event_id == "stocks:replay:AAPL:2000-03-01T21:00:00Z"
    assert event.observed_at == datetime(2000, 3, 1, 21, tzinfo=UTC)
    assert (event.open, event.high, event.low, event.price) == (118.56, 132.06, 118.5, 130.31)
    assert (event.volume, event.currency, event.simulated) == (9616100, "USD", False)


def test_in_summer_the_close_is_an_hour_earlier_in_utc(file: Path) -> None:
    assert Replay(file, ["AAPL"]).fetch("").events[1].observed_at.hour == 20


def test_rows_come_in_the_order_of_their_time(file: Path) -> None:
    events = Replay(file, []).fetch("").events
    assert [(e.symbol, e.observed_at.month) for e in events] == [
        ("AAPL", 3),
        ("IBM", 3),
        ("AAPL", 7),
    ]
    assert len({event.event_id for event in events}) == 3


def test_another_file_or_choice_is_another_unit(file: Path) -> None:
    whole, part = Replay(file, []).units, Replay(file, ["IBM"]).units
    file.write_bytes(gzip.compress(ROWS.replace("130.31", "130.32").encode()))
    assert len({whole, part, Replay(file, []).units}) == 3
