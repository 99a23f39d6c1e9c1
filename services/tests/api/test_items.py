"""Items that clients send: what is accepted is decoded to the same event, with one identity."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from services.tests.feeds.events import ONE_OF_EACH, START

from millrace.api import items
from millrace.api.items import LONGEST_ID, Rejected, mint
from millrace.events import Event
from millrace.feeds import FEEDS
from millrace.processor.decode import decoder

NOW = START + timedelta(minutes=1)
SOURCE = items.source_of("feeder")
SENT = {"event_id", *items.SET_HERE}
"""What an item need not, or must not, have."""


def item(changes: dict[str, Any], feed: str = "quotes") -> dict[str, Any]:
    """What a client sends for the feed's example; ... leaves a field out."""
    fields = msgspec.to_builtins(ONE_OF_EACH[feed])
    if FEEDS[feed].symbol_of is not None:
        changes = {"symbol": ..., **changes}
    fields = {name: value for name, value in fields.items() if name not in SENT} | changes
    return {name: value for name, value in fields.items() if value is not ...}


def minted(
    changes: dict[str, Any] | None = None,
    feed: str = "quotes",
    source: str = SOURCE,
    now: datetime = NOW,
) -> Event:
    event: Event = mint(FEEDS[feed], item(changes or {}, feed), source, now)
    return event


@pytest.mark.parametrize("feed", sorted(FEEDS))
def test_the_envelope_is_the_apis(feed: str) -> None:
    event = minted(feed=feed)
    assert (event.feed, event.schema_version, event.source) == (feed, 1, "ingest:feeder")
    assert not event.simulated
    assert (event.observed_at, event.produced_at) == (START, NOW)
    assert items.own_fields(event) == items.own_fields(ONE_OF_EACH[feed])


@pytest.mark.parametrize("feed", sorted(FEEDS))
def test_a_time_that_is_ahead_of_the_servers_is_refused_with_the_servers(feed: str) -> None:
    ahead = FEEDS[feed].ahead
    last = NOW + ahead
    assert minted({"observed_at": last.isoformat()}, feed).observed_at == last
    with pytest.raises(Rejected, match=r"ahead of the server's clock.* 2026-01-02T15:01:00Z"):
        minted({"observed_at": (last + timedelta(milliseconds=1)).isoformat()}, feed)


anything = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=2**62, max_value=2**80),
    st.floats(),
    st.text(max_size=300),
    st.datetimes(timezones=st.none() | st.timezones()).map(datetime.isoformat),
    st.datetimes(START - timedelta(days=3), START + timedelta(days=3)).map(
        lambda t: f"{t.isoformat()}Z"
    ),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(), st.integers(), max_size=2),
)
names = {n for event in ONE_OF_EACH.values() for n in event.__struct_fields__} | {
    "ts",
    "timestamp",
    "x",
}


@given(feed=st.sampled_from(sorted(FEEDS)), data=st.data())
def test_whatever_is_accepted_is_decoded_to_the_same_event(feed: str, data: st.DataObject) -> None:
    changes = data.draw(st.dictionaries(st.sampled_from(sorted(names)), anything, max_size=3))
    try:
        event = minted(changes, feed)
    except Rejected as error:
        assert str(error)
        return
    assert decoder(FEEDS[feed])(msgspec.json.encode(event)) == event
    assert event.observed_at.tzinfo is UTC


@given(st.binary() | st.text().map(str.encode))
def test_any_bytes_are_an_item_or_rejected(data: bytes) -> None:
    with pytest.raises(Rejected):
        mint(FEEDS["quotes"], items.read(data), SOURCE, NOW)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"price": "12,5"}, "`price`"),
        ({"price": None}, "`price`"),
        ({"price": 0}, "`price`"),
        ({"price": ...}, "`price`"),
        ({"price": float("nan")}, "`price`"),
        ({"price": float("inf")}, "`price`"),
        ({"price": 10**400}, "`price`"),
        ({"volume": 2**63}, "`volume`"),
        ({"volume": 1.5}, "`volume`"),
        ({"symbol": ""}, "`symbol`"),
        ({"symbol": "x" * 201}, "`symbol`"),
        ({"observed_at": ...}, "`observed_at`"),
        ({"observed_at": "2026-01-02T15:00:00"}, "`observed_at`"),
        ({"observed_at": 86400}, "`observed_at`"),
        ({"observed_at": "yesterday"}, "`observed_at`"),
        ({"observed_at": "1899-12-31T23:59:59Z"}, "`observed_at` is out of range"),
        ({"observed_at": "0001-01-01T00:00:00+14:00"}, "`observed_at` is out of range"),
        ({"observed_at": "2026-01-02T15:02:01Z"}, "`observed_at` is more than 60 s ahead"),
        ({"observed_at": ..., "ts": "2026-01-03T15:00:00Z"}, "`ts` is more than 60 s ahead"),
        ({"observed_at": ..., "timestamp": "2026-01-02T15:00:00"}, "`timestamp`"),
        ({"ts": "2026-01-02T15:00:00Z"}, "`observed_at` and `ts` are the same"),
        ({"event_id": 5}, "`event_id`"),
        ({"event_id": ""}, "`event_id`"),
        ({"event_id": None}, "`event_id`"),
        ({"event_id": "x" * (LONGEST_ID + 1)}, "`event_id` is longer"),
        ({"extra": 1}, "`extra`"),
        ({"source": "generator"}, "`source` is not for the client"),
        ({"simulated": True}, "`simulated` is not for the client"),
        ({"produced_at": "2026-01-02T15:00:00Z"}, "`produced_at` is not for the client"),
    ],
)
def test_what_is_rejected_is_named(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(Rejected) as rejected:
        minted(changes)
    assert reason in str(rejected.value)


def test_a_share_whose_low_is_above_its_high_is_rejected() -> None:
    with pytest.raises(Rejected, match="the low, 201, is above the high, 200"):
        minted({"low": 201}, "stocks")


@pytest.mark.parametrize("value", [None, [], "text", 5])
def test_an_event_is_an_object(value: Any) -> None:
    with pytest.raises(Rejected, match="object"):
        mint(FEEDS["quotes"], value, SOURCE, NOW)


@pytest.mark.parametrize("name", ["observed_at", "ts", "timestamp"])
def test_the_same_item_is_the_same_event_whenever_it_is_sent(name: str) -> None:
    changes = {"observed_at": ..., name: "2026-01-02T16:00:00.000999+01:00"}
    again = minted(changes, now=NOW + timedelta(hours=9))
    assert again.event_id == minted().event_id


def test_an_item_is_the_same_event_for_every_version_of_the_api() -> None:
    """Or what is sent again after an update would be stored again."""
    assert minted().event_id == "quotes:ingest:feeder:9d8e788bd8463d2eb43578f446315919"
    own = minted({"event_id": "tick-1"}).event_id
    assert own == "quotes:ingest:feeder:tick-1:2192a7a94628295c2ad806bdce875875"


@pytest.mark.parametrize(
    "changes",
    [
        {"symbol": "AAPL"},
        {"price": 200.5},
        {"observed_at": "2026-01-02T15:00:00.001Z"},
        {"event_id": "1"},
    ],
)
def test_another_item_is_another_event(changes: dict[str, Any]) -> None:
    assert minted(changes).event_id != minted().event_id


def test_a_time_is_in_utc_wherever_it_was_observed() -> None:
    event = minted({"observed_at": "2026-01-02T16:00:00+01:00"})
    assert b'"observed_at":"2026-01-02T15:00:00Z"' in msgspec.json.encode(event)


def test_another_client_has_other_events() -> None:
    assert minted(source=items.source_of("another")).event_id != minted().event_id


def test_an_id_of_the_client_stands_in_for_the_content() -> None:
    event = minted({"event_id": "tick-1"})
    assert event.event_id.startswith("quotes:ingest:feeder:tick-1:")
    assert minted({"event_id": "tick-1", "price": 1.0}).event_id == event.event_id
    assert minted({"event_id": "tick-2"}).event_id != event.event_id


parts = st.text(alphabet="a:1", min_size=1, max_size=4)
sent = st.tuples(parts, st.integers(0, 2), parts, parts)


@given(one=sent, other=sent)
def test_an_id_stands_for_one_symbol_at_one_time_whatever_clients_call_it(
    one: Any, other: Any
) -> None:
    def event(symbol: str, second: int, event_id: str, token: str) -> Event:
        time = (START + timedelta(seconds=second)).isoformat()
        fields = {"symbol": symbol, "observed_at": time, "event_id": event_id}
        return minted(fields, source=items.source_of(token))

    assert (event(*one).event_id == event(*other).event_id) == (one == other)


def test_the_longest_names_fit() -> None:
    event = minted(
        {"event_id": "x" * LONGEST_ID, "symbol": "s" * 200}, source=items.source_of("t" * 40)
    )
    assert len(event.event_id) <= 200
    longest = replace(FEEDS["quotes"], name="token_usage")
    assert len(event.event_id.replace("quotes", longest.name)) <= 200


def test_a_symbol_that_follows_from_the_fields_need_not_be_sent() -> None:
    feed: Any = replace(FEEDS["quotes"], symbol_of=lambda fields: f"{fields['currency']}/x")

    def sent(**changes: Any) -> Event:
        event: Event = mint(feed, item(changes), SOURCE, NOW)
        return event

    assert sent(symbol=...).symbol == "USD/x"
    assert sent(symbol="USD/x") == sent(symbol=...)
    with pytest.raises(Rejected, match="`symbol` follows from the other fields: it is USD/x"):
        sent(symbol="IBM")
    with pytest.raises(Rejected, match="`symbol`"):
        sent(symbol=..., currency="x" * 199)
    with pytest.raises(Rejected, match="`currency`"):
        sent(symbol=..., currency=5)
