"""Replay: every row of the file, at its close, with an id of its own; and files of others."""

import gzip
import json
from datetime import UTC, date, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from millrace.errors import ConfigurationError
from millrace.feeds.stocks import StockPrice
from millrace.sources import replay
from millrace.sources.base import Batch, Permanent
from millrace.sources.replay import Replay
from millrace.sources.tables import NoTable

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
    batch = Replay(file, ["AAPL"]).fetch("")
    assert batch.simulated is False
    event = batch.events[0]
    assert isinstance(event, StockPrice)
    assert event.event_id == "stocks:replay:AAPL:2000-03-01T21:00:00Z"
    assert event.observed_at == datetime(2000, 3, 1, 21, tzinfo=UTC)
    assert (event.open, event.high, event.low, event.price) == (118.56, 132.06, 118.5, 130.31)
    assert (event.volume, event.currency, event.simulated) == (9616100, "USD", False)


NOTHING = ROWS.splitlines()[0]


@pytest.mark.parametrize(
    ("symbols", "rows", "told"),
    [
        (["NONE", "NIL"], ROWS, ["NIL,NONE"]),
        (["AAPL", "MSFTT"], ROWS, ["MSFTT"]),
        ([], NOTHING, ["all"]),
        ([], ROWS, []),
        ([], NOTHING + "\nrefused", []),
    ],
)
def test_a_replay_of_nothing_is_told(
    tmp_path: Path, symbols: list[str], rows: str, told: list[str]
) -> None:
    path = tmp_path / "stocks.csv"
    path.write_text(rows + "\n")
    with capture_logs() as said:
        Replay(path, symbols).fetch("")
    assert [(one["event"], one["symbols"]) for one in said] == [
        ("no row to replay", names) for names in told
    ]


def test_in_summer_the_close_is_an_hour_earlier_in_utc(file: Path) -> None:
    assert Replay(file, ["AAPL"]).fetch("").events[1].observed_at.hour == 20


def test_days_are_asked_for_from_the_first_up_to_the_end(file: Path) -> None:
    march, july = date(2000, 3, 1), date(2000, 7, 3)
    source = Replay(file, ["AAPL"])
    days = [
        [e.observed_at.month for e in source.between(march, end).events] for end in (july, date.max)
    ]
    assert days == [[3], [3, 7]]


def test_rows_come_in_the_order_of_their_time(file: Path) -> None:
    events = Replay(file, []).fetch("").events
    assert [(e.symbol, e.observed_at.month) for e in events] == [
        ("AAPL", 3),
        ("IBM", 3),
        ("AAPL", 7),
    ]
    assert len({event.event_id for event in events}) == 3


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("/none/stocks.csv", "there is no file /none/stocks.csv to replay"),
        ("/proc/self/mem", "cannot read /proc/self/mem: Input/output error"),
        ("/" + "x" * 256, "cannot read .*: File name too long"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_line(settings: Any, name: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^MILLRACE_REPLAY_FILE: {said}$"):
        replay.from_settings(settings(replay_file=name))


def test_a_file_is_the_same_unit_for_every_version(tmp_path: Path) -> None:
    """Or it would be replayed again after an update."""
    path = tmp_path / "stocks.csv"
    path.write_text(ROWS)
    assert Replay(path, []).units == ("0fdaea85b1549185 all",)
    assert Replay(path, ["IBM", "AAPL"]).units == ("0fdaea85b1549185 AAPL,IBM",)


def test_another_file_or_choice_is_another_unit(file: Path) -> None:
    whole, part = Replay(file, []).units, Replay(file, ["IBM"]).units
    file.write_bytes(gzip.compress(ROWS.replace("130.31", "130.32").encode()))
    assert len({whole, part, Replay(file, []).units}) == 3


HEADER = "Ticker,Date,Open,High,Low,Close,Volume"
ROW = "AAPL,2000-03-01,118.56,132.06,118.5,130.31,9616100"
OTHER = "IBM,2000-03-01,102.0,105.5,100.06,100.25,10807800"


def wanted(path: Path) -> list[Any]:
    """What ROW and OTHER say."""
    path.write_text(f"{HEADER}\n{ROW}\n{OTHER}\n")
    return events(path)


def events(path: Path) -> list[Any]:
    batch = Replay(path, []).fetch("")
    assert batch.rejected == []
    return contents(batch)


def contents(batch: Batch) -> list[Any]:
    found: list[Any] = [event for event in batch.events if isinstance(event, StockPrice)]
    return [(e.event_id, e.open, e.high, e.low, e.price, e.volume, e.observed_at) for e in found]


PLAIN = f"{HEADER}\n{ROW}\n{OTHER}\n"
FILES = {
    "line ends of Windows": PLAIN.replace("\n", "\r\n"),
    "of old Macs": PLAIN.replace("\n", "\r"),
    "no end of the last line": PLAIN.rstrip(),
    "empty lines": PLAIN.replace("\n", "\n\n ,,, \n"),
    "semicolons": PLAIN.replace(",", ";"),
    "tabs": PLAIN.replace(",", "\t"),
    "spaces": PLAIN.replace(",", " , "),
    "quotes": "\n".join(
        ",".join(f'"{cell}"' for cell in line.split(",")) for line in PLAIN.splitlines()
    ),
    "quotes behind spaces": "\n".join(
        ", ".join(f'"{cell}"' for cell in line.split(",")) for line in PLAIN.splitlines()
    ),
    "quotes and semicolons": "\n".join(
        ";".join(f'"{cell}"' for cell in line.split(",")) for line in PLAIN.splitlines()
    ),
    "another order": "Volume,Close,Low,High,Open,Date,Ticker\n"
    + "\n".join(",".join(reversed(row.split(","))) for row in (ROW, OTHER)),
    "capitals": PLAIN.replace(HEADER, " TICKER ,date,OPEN,high,Low,close,VOLUME"),
    "more columns": PLAIN.replace(HEADER, f",{HEADER},Adj Close,note")
    .replace("AAPL", "0,AAPL")
    .replace("IBM", "1,IBM")
    .replace("9616100", "9616100,NaN,é"),
    "empty columns": PLAIN.replace("\n", ",,,\n"),
    "pandas": PLAIN.replace("9616100", "9616100.0").replace("01,1", "01 00:00:00+00:00,1"),
    "JavaScript": PLAIN.replace("2000-03-01", "2000-03-01T00:00:00.000Z"),
    "seconds": PLAIN.replace("2000-03-01", "951868800"),
    "milliseconds": PLAIN.replace("2000-03-01", "951868800000"),
    "microseconds": PLAIN.replace("2000-03-01", "951868800000000"),
    "no offset": PLAIN.replace("2000-03-01", "2000-03-01 00:00:00"),
    "no hyphens": PLAIN.replace("2000-03-01", "20000301"),
    "formulas": PLAIN.replace("AAPL", '="AAPL"').replace("IBM", '"=""IBM"""'),
    "a fraction of zero": PLAIN.replace("9616100", "9616100.00"),
    "an exponent": PLAIN.replace("9616100", "9.6161E6").replace("132.06", "1.3206e2"),
}


@pytest.mark.parametrize("text", FILES.values(), ids=FILES)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("packed", [False, True])
def test_a_file_is_taken(tmp_path: Path, text: str, encoding: str, packed: bool) -> None:
    data = text.encode(encoding)
    path = tmp_path / "prices.csv"
    expected = wanted(path)
    path.write_bytes(gzip.compress(data) if packed else data)
    assert events(path) == expected


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (ROW.replace("118.56", '"1,118.56"'), "`Open` is '1,118.56', which is no number: write it"),
        (ROW.replace("9616100", '"9,616,100"'), "`Volume` is '9,616,100', which is no number"),
        (
            ROW.replace("9616100", "9,616,100"),
            "it has more cells than the 7 columns: numbers are written like 1234.5, without"
            " separators",
        ),
        (ROW.replace("118.56", '"118,56"'), "`Open` is '118,56', which is no number"),
        (ROW.replace("118.56", "118,56"), "it has more cells than the 7 columns"),
        (ROW.replace("118.56", "$118.56"), "`Open` is '$118.56', which is no number"),
        (ROW.replace("118.56", ""), "`Open` is empty"),
        (ROW.replace("118.56", "NaN"), "`Open` is NaN: every row needs a number here"),
        (ROW.replace("9616100", "NULL"), "`Volume` is NULL: every row needs a number here"),
        (ROW.replace("9616100", "<NA>"), "`Volume` is <NA>: every row needs"),
        (ROW.replace("9616100", "1.5"), "`Volume`"),
        (ROW.replace("9616100", "-1"), "Expected `int` >= 0 - at `Volume`"),
        (ROW.replace("118.5,", "132.07,"), "the low, 132.07, is above the high, 132.06"),
        (ROW.replace("130.31", "133.39"), "`Close` is 133.39, outside of what the day traded at,"),
        (ROW.replace("130.31", "32.5775"), "118.5 to 132.06: is one column adjusted for splits"),
        (ROW.replace("118.56", "117.17"), "`Open` is 117.17, outside of what the day traded at"),
        ("PENNY,2000-03-01,0.02,0.02,0.01,0.031,5", "`Close` is 0.031, outside of what the day"),
        (ROW.replace("AAPL", "NaN"), "`Ticker` is 'NaN', as programs write what is missing: fill"),
        (ROW.replace("AAPL", "nan"), "`Ticker` is 'nan', as programs write what is missing"),
        (ROW.replace("AAPL", "None"), "`Ticker` is 'None', as programs write what is missing"),
        (ROW.replace("AAPL", "null"), "`Ticker` is 'null', as programs write what is missing"),
        (ROW.replace("AAPL", "<NA>"), "`Ticker` is '<NA>', as programs write what is missing"),
        (ROW.replace("AAPL", "#N/A"), "`Ticker` is '#N/A', as programs write what is missing"),
        (ROW.replace("9616100", "9" * 99), "`Volume`"),
        (ROW.replace("130.31", "inf"), "`Close` is 'inf', which is no number"),
        (ROW.replace("130.31", "0"), "`Close`"),
        (ROW.replace("130.31", "1e99"), "`Close`"),
        (ROW.replace("AAPL", ""), "`Ticker` is empty"),
        (ROW.replace("AAPL", "=AAPL"), "`Ticker` is '=AAPL': write it without what marks it as"),
        (ROW.replace("AAPL", "'AAPL"), '`Ticker` is "\'AAPL": write it without what marks it'),
        (ROW.replace("2000-03-01", "2150-03-01"), "`Date` is 2150-03-01, and today is 20"),
        (ROW.replace("9616100", "9007199254740993.5"), "`Volume`"),
        (ROW.replace("AAPL", "A\u200bB"), "`Ticker` is 'A\\u200bB': it must not"),
        (ROW.replace("AAPL", "x" * 300), "`Ticker`"),
        (ROW.replace("2000-03-01", "3/1/2000"), "`Date` is '3/1/2000': write the day like"),
        (ROW.replace("2000-03-01", "36586"), "`Date` is 36586: a number is a Unix time"),
        (ROW.replace("2000-03-01", "2000-02-30"), "`Date` is '2000-02-30': write the day like"),
        (ROW.replace("2000-03-01", "1850-03-01"), "out of range"),
        (ROW.replace("2000-03-01", "2000-W10"), "`Date` is '2000-W10': write the day like"),
        (ROW.replace("AAPL", "#NAME?"), "`Ticker` is '#NAME?', as programs write what is missing"),
        (ROW.replace("2000-03-01", "NaT"), "`Date` is 'NaT': write the day like"),
        (
            ROW.replace("2000-03-01", "2000-03-01T10:00:00Z"),
            "`Date` is '2000-03-01T10:00:00Z': which day a time is in depends on the place",
        ),
        ("AAPL,2000-03-01,118.56", "`High` is empty"),
        ("X", "`Date` is empty"),
        (ROW.replace("AAPL", '"AAPL'), "its quotation marks are wrong"),
        (ROW.replace("AAPL", f'"{200_000 * "x"}"'), "its quotation marks are wrong"),
        (OTHER, "it is about IBM on 2000-03-01, as line 2 is"),
        (HEADER, "`Date` is 'Date'"),
    ],
)
def test_a_row_that_is_refused_spoils_no_other(tmp_path: Path, row: str, reason: str) -> None:
    path = tmp_path / "prices.csv"
    last = OTHER.replace("2000-03-01", "2000-03-02")
    path.write_text("\n".join([HEADER, OTHER, row, last]))
    batch = Replay(path, []).fetch("")
    assert [event.observed_at.day for event in batch.events] == [1, 2]
    (rejected,) = batch.rejected
    assert rejected.symbol == "prices.csv, line 3"
    assert reason in rejected.reason
    assert len(rejected.reason) <= 200
    assert len(list(replay.read(path, datetime.now(UTC)))) == 2


def test_a_decimal_comma_of_a_spreadsheet_is_refused_in_words(tmp_path: Path) -> None:
    path = tmp_path / "prices.csv"
    path.write_text("\n".join([HEADER, ROW, OTHER]).replace(",", ";").replace("118.56", "118,56"))
    batch = Replay(path, []).fetch("")
    assert [event.symbol for event in batch.events] == ["IBM"]
    (rejected,) = batch.rejected
    said = (
        "`Open` is '118,56', which is no number: write it like 1234.5, without separators and units"
    )
    assert rejected.reason.endswith(said)


def test_a_comma_that_ends_the_header_makes_no_room_for_a_decimal_comma(tmp_path: Path) -> None:
    path = tmp_path / "prices.csv"
    path.write_text("\n".join([HEADER + ",", ROW.replace("118.56", "118,56"), OTHER + ","]))
    batch = Replay(path, []).fetch("")
    assert [event.symbol for event in batch.events] == ["IBM"]
    (rejected,) = batch.rejected
    assert rejected.reason.startswith("it has more cells than the 7 columns")


def test_a_row_behind_a_refused_one_of_its_day_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "prices.csv"
    path.write_text("\n".join([HEADER, ROW.replace("118.56", "x"), ROW, ROW]))
    batch = Replay(path, []).fetch("")
    assert [event.symbol for event in batch.events] == ["AAPL"]
    assert [one.symbol[-1] for one in batch.rejected] == ["2", "4"]


def test_bytes_that_are_no_text_refuse_their_row(tmp_path: Path) -> None:
    path = tmp_path / "prices.csv"
    rows = [HEADER, ROW, OTHER + ",caf\xe9", OTHER.replace("IBM", "CAF\xc9")]
    path.write_bytes("\n".join(rows).replace("Volume", "Volume,note").encode("latin-1"))
    batch = Replay(path, []).fetch("")
    assert [event.symbol for event in batch.events] == ["AAPL", "IBM"]
    assert [one.symbol for one in batch.rejected] == ["prices.csv, line 4"]


def test_a_row_that_ends_within_a_character_is_refused(tmp_path: Path) -> None:
    """Of UTF-16, as of a file that is not copied to its end."""
    path = tmp_path / "prices.csv"
    path.write_bytes(PLAIN.encode("utf-16")[:-3])
    batch = Replay(path, []).fetch("")
    assert [event.symbol for event in batch.events] == ["AAPL"]
    assert [one.symbol for one in batch.rejected] == ["prices.csv, line 3"]


def test_half_a_character_of_utf_16_is_in_no_ticker(tmp_path: Path) -> None:
    path = tmp_path / "prices.csv"
    rows = [HEADER, ROW.replace("AAPL", "AA\ud83d"), ROW.replace("AAPL", "IBM")]
    path.write_bytes("\n".join(rows).encode("utf-16", "surrogatepass"))
    batch = Replay(path, []).fetch("")
    assert [event.symbol for event in batch.events] == ["IBM"]
    assert "which was not decoded as it was written" in batch.rejected[0].reason


def test_tickers_that_look_like_nothing_are_tickers(tmp_path: Path) -> None:
    path = tmp_path / "prices.csv"
    names = ["NA", "NAN", "NONE", "NULL"]
    path.write_text("\n".join([HEADER, *(ROW.replace("AAPL", name) for name in names)]))
    assert [event.symbol for event in Replay(path, []).fetch("").events] == names


@pytest.mark.parametrize(
    "row",
    [
        ROW.replace("118.56", "118.5").replace("130.31", "132.06"),
        # A cent beside them, as of rounding, and a hundredth, as of another print.
        ROW.replace("118.56", "118.49").replace("130.31", "132.07"),
        ROW.replace("118.56", "117.2").replace("130.31", "133.37"),
        "PENNY,2000-03-01,0.02,0.02,0.01,0.0051,5",
        # Just as far off as may be.
        "ROUND,2000-03-01,98,200,100,202,5",
        "STILL,2000-03-01,3.5,3.5,3.5,3.5,0",
    ],
)
def test_a_row_is_taken_that_may_be_of_a_day(tmp_path: Path, row: str) -> None:
    path = tmp_path / "prices.csv"
    path.write_text(f"{HEADER}\n{row}\n")
    assert len(events(path)) == 1


def test_what_is_refused_of_symbols_and_days_that_nobody_wants_is_not_told(tmp_path: Path) -> None:
    path = tmp_path / "prices.csv"
    bad = ROW.replace("118.56", "x")
    rows = [HEADER, ROW, bad.replace("AAPL", "X"), bad.replace("2000", "2001"), "?", OTHER]
    path.write_text("\n".join(rows))
    batch = Replay(path, ["AAPL"]).between(date(2000, 1, 1), date(2001, 1, 1))
    assert [event.symbol for event in batch.events] == ["AAPL"]
    assert [one.symbol for one in batch.rejected] == ["prices.csv, line 5"]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "is empty"),
        (b"\n\n", "is empty"),
        (ROW.encode(), "has to name the columns Ticker, Date, Open, High, Low, Close, Volume"),
        (b"x" * 300, f"begins with '{'x' * 80}': its first line has to name the columns"),
        (b"date,price\n", "begins with 'date,price': its first line has to name the columns"),
        (json.dumps([{"Ticker": "A"}]).encode(), "with a comma, a semicolon or a tab"),
        (HEADER.replace("Open", "Close").encode(), "has to name the columns"),
        (f"{HEADER},close\n{ROW},1".encode(), "has two columns Close"),
        (gzip.compress(1000 * f"{HEADER}\n".encode())[:-9], "cannot read"),
        (b"\x1f\x8bxx", "prices.csv behind line 0: Compressed file ended"),
    ],
)
def test_a_file_without_rows_is_one_line_that_says_what_is_needed(
    tmp_path: Path, data: bytes, reason: str
) -> None:
    path = tmp_path / "prices.csv"
    path.write_bytes(data)
    with pytest.raises(Permanent, match=r"prices\.csv") as caught:
        Replay(path, []).fetch("")
    assert reason in str(caught.value)
    with pytest.raises(NoTable):
        Replay(path, []).between(date.min, date.max)
    with pytest.raises(NoTable):
        list(replay.read(path, datetime.now(UTC)))


@given(st.binary().filter(lambda data: b"\0" not in data))
def test_any_bytes_spoil_no_other_row(data: bytes) -> None:
    with TemporaryDirectory() as directory:
        path = Path(directory) / "prices.csv"
        path.write_bytes(b"\n".join([HEADER.encode(), ROW.encode(), data, OTHER.encode()]))
        batch = Replay(path, []).fetch("")
        assert {"AAPL", "IBM"} <= {event.symbol for event in batch.events}
