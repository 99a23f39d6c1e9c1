"""Minting: what a source or a client gives becomes what the processor reads, or is refused."""

import ast
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from services.tests.feeds.events import ONE_OF_EACH, START

import millrace
from millrace.events import Event
from millrace.feeds import FEEDS
from millrace.feeds.minting import Refused, mint, second
from millrace.processor.decode import decoder

GIVEN = {name: msgspec.structs.asdict(event) for name, event in ONE_OF_EACH.items()}
MADE_HERE = ("event_id", "schema_version", "feed", "source", "simulated", "produced_at")


def minted(feed: str = "stocks", unique: str = "x", /, **changes: Any) -> Event:
    fields = {k: v for k, v in (GIVEN[feed] | changes).items() if k not in MADE_HERE}
    later = START + timedelta(hours=1)
    event: Event = mint(FEEDS[feed], "test", unique, simulated=True, produced_at=later, **fields)
    return event


@pytest.mark.parametrize("feed", sorted(FEEDS))
def test_the_id_is_made_of_feed_source_and_what_is_unique(feed: str) -> None:
    event = minted(feed)
    assert (event.event_id, event.source, event.schema_version) == (f"{feed}:test:x", "test", 1)
    assert (event.simulated, event.produced_at) == (True, START + timedelta(hours=1))


@given(
    feed=st.sampled_from(sorted(FEEDS)),
    unique=st.text(max_size=220),
    data=st.data(),
)
def test_what_is_minted_is_read_by_the_processor_as_it_is(
    feed: str, unique: str, data: st.DataObject
) -> None:
    # Lone surrogates too: a name may have come from JSON, from a file or from a driver.
    text = st.text(st.characters(exclude_categories=()), max_size=220)
    naive = START.replace(tzinfo=None)
    times = st.datetimes(naive.replace(year=1890), naive + timedelta(days=3))
    values = st.one_of(
        st.none(),
        st.integers(-(2**70), 2**70),
        st.floats(),
        text,
        times,
        times.map(lambda time: time.replace(tzinfo=UTC)),
    )
    names = sorted(GIVEN[feed].keys() - {*MADE_HERE})
    changes = data.draw(st.dictionaries(st.sampled_from([*names, "more"]), values, max_size=2))
    try:
        event = minted(feed, unique, **changes)
    except Refused as error:
        assert str(error)
    else:
        assert decoder(FEEDS[feed])(msgspec.json.encode(event)) == event


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"price": 1e-10}, "price"),
        ({"price": 1e15}, "price"),
        ({"price": float("nan")}, "price"),
        ({"price": "187.5"}, "price"),
        ({"symbol": "A" * 201}, "symbol"),
        ({"symbol": "\ud800"}, "surrogates"),
        ({"volume": True}, "volume"),
        ({"observed_at": START.replace(year=2300)}, "observed_at"),
        ({"observed_at": START.replace(tzinfo=None)}, "observed_at"),
        ({"more": 1}, "more"),
    ],
)
def test_what_the_processor_would_not_read_is_refused(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(Refused, match=named):
        minted(**changes)


def test_what_contradicts_itself_is_refused_and_read_where_it_is_in_the_log() -> None:
    with pytest.raises(Refused, match="the low, 201, is above the high, 200"):
        minted(low=201.0)
    before = msgspec.structs.replace(ONE_OF_EACH["stocks"], low=201.0)
    assert decoder(FEEDS["stocks"])(msgspec.json.encode(before)) == before


@pytest.mark.parametrize("feed", ["metals", "quotes", "stocks"])
def test_a_currency_is_a_code_in_capitals(feed: str) -> None:
    for code in ("USD", "GBX", "XXX", "USDT"):
        assert minted(feed, currency=code).currency == code  # type: ignore[attr-defined]
    for other in ("usd", "Usd", "GBp", "US", "$", "US Dollar", "USD ", "\u0410BC"):
        with pytest.raises(Refused, match=r"`currency` is .*: write its code in capitals"):
            minted(feed, currency=other)
    before = msgspec.structs.replace(ONE_OF_EACH[feed], currency="usd")
    assert decoder(FEEDS[feed])(msgspec.json.encode(before)) == before


def test_a_price_after_the_close_is_one() -> None:
    assert minted(price=230.0, open=150.0).symbol == "IBM"


@pytest.mark.parametrize("feed", sorted(FEEDS))
def test_what_is_observed_after_the_time_of_the_producer_is_no_less_an_event(feed: str) -> None:
    """One of two clocks is wrong, and this one may be."""
    ahead = START + timedelta(days=2)
    assert minted(feed, observed_at=ahead).observed_at == ahead


def test_an_id_that_is_too_long_is_refused() -> None:
    with pytest.raises(Refused, match="event_id"):
        minted("stocks", "x" * 200)


def test_a_time_in_an_id_is_a_second() -> None:
    assert second(START.replace(microsecond=999)) == "2026-01-02T15:00:00Z"


def test_no_event_is_made_in_another_way() -> None:
    """Whoever calls an event's constructor would publish what nobody has checked."""
    kinds = {feed.event_type.__name__ for feed in FEEDS.values()}
    calls = [
        f"{path.name}:{node.lineno}"
        for path in Path(millrace.__file__).parent.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in kinds
    ]
    assert not calls
