"""What people see, whatever is there and whatever is missing."""

import io
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console

from millrace.clients.services import Peer
from millrace.watch.snapshot import Cost, Position, Price, Rate, Snapshot
from millrace.watch.view import SHOWN_PRICES, age, view

NOW = datetime(2026, 1, 2, 15, tzinfo=UTC)
EMPTY = Snapshot(NOW, {}, {}, None, [], [], [], [])
FULL = Snapshot(
    at=NOW,
    positions={"quotes": Position(12_000, 11_958), "metals": Position(8, 8)},
    rates={"quotes": Rate(20.0, 19.5), "metals": Rate(0.0, 0.0)},
    dead_letters=3,
    prices=[
        Price("quotes", "AAPL", 231.5, "USD", 0.25, True, NOW - timedelta(seconds=2)),
        Price("quotes", "IBM", 1234.5, "USD", -1.5, True, NOW - timedelta(minutes=3)),
        Price("metals", "XAU", 2400.0, "USD", None, False, NOW - timedelta(hours=5)),
    ],
    costs=[Cost("llama-8b", 2.5e-6, 1500.0, NOW), Cost("other", 1e-6, None, NOW)],
    services=[
        Peer("processor", ready=True, says={}),
        Peer("producer-[ticks]", ready=False, says={"problem": "does not answer [yet]"}),
    ],
    problems=["MongoDB does not answer: [refused]"],
)


def shown(seen: Snapshot, width: int = 200) -> str:
    out = Console(width=width, file=io.StringIO())
    out.print(view(seen, width))
    file = out.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


@pytest.mark.parametrize("width", [80, 200])
def test_everything_is_shown(width: int) -> None:
    text = shown(FULL, width)
    for expected in (
        "19.5 events a second stored", "dead letters: 3", "12,000", "42", "AAPL", "▲ 0.25 %",
        "▼ 1.50 %", "2,400.00 USD", "3 min", "5 h", "real", "simulated", "llama-8b", "2.500",
        "1,500", "producer-[ticks]", "does not answer [yet]", "MongoDB does not answer: [refused]",
    ):  # fmt: skip
        assert expected in text, expected


def test_tables_are_beside_each_other_where_there_is_room() -> None:
    together = [line for line in shown(FULL).splitlines() if "What flows" in line]
    assert "Latest prices" in together[0]
    assert "Latest prices" not in next(
        line for line in shown(FULL, 80).splitlines() if "What flows" in line
    )


def test_nothing_is_there_yet() -> None:
    text = shown(EMPTY)
    assert "dead letters: not known" in text
    assert "Latest" not in text


def test_only_the_newest_prices_are_shown() -> None:
    many = [
        Price("stocks", f"S{n:02}", 1.0, "USD", 0.0, False, NOW - timedelta(days=n))
        for n in range(SHOWN_PRICES + 4)
    ]
    text = shown(EMPTY._replace(prices=many))
    assert "S15" in text
    assert "S16" not in text
    assert "the newest 16 of 20" in text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "0 s"), (0, "0 s"), (59, "59 s"), (60, "1 min"), (7200, "2 h"), (90_000, "1 d")],
)
def test_ages(seconds: int, text: str) -> None:
    assert age(NOW, NOW - timedelta(seconds=seconds)) == text
