"""What is an event and what is a dead letter, and that nothing is neither."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import bson
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from services.tests.feeds.events import ONE_OF_EACH, START
from services.tests.processor.world import Record

from millrace.clients.records import Unreadable
from millrace.events import Event
from millrace.feeds import FEEDS
from millrace.feeds.history import History
from millrace.processor.decode import Taken, decoder, taker
from millrace.processor.errors import BadRecord

GOOD: Mapping[str, dict[str, Any]] = {
    name: msgspec.to_builtins(event) for name, event in ONE_OF_EACH.items()
}
DEEP = b"[" * 100_000
FIELDS = {
    (name, field.name): field.required
    for name, feed in FEEDS.items()
    for field in msgspec.structs.fields(feed.event_type)
    if field.name not in Event.__struct_fields__
}
"""The own fields of every feed, and whether an event has to have them."""


def read(value: bytes | None, feed: str = "stocks") -> Event:
    event: Event = decoder(FEEDS[feed])(value)
    return event


def encoded(feed: str = "stocks", /, **changes: Any) -> bytes:
    fields = {**GOOD[feed], **changes}
    return msgspec.json.encode({k: v for k, v in fields.items() if v is not ...})


@pytest.mark.parametrize("feed", sorted(FEEDS))
def test_what_a_producer_encodes_is_decoded(feed: str) -> None:
    event = ONE_OF_EACH[feed]
    assert read(msgspec.json.encode(event), feed) == event


@pytest.mark.parametrize("feed", sorted(FEEDS))
@pytest.mark.parametrize(
    "value",
    [
        pytest.param(None, id="no value"),
        pytest.param(b"", id="nothing"),
        pytest.param(b"{", id="cut off"),
        pytest.param(b"\xff\xfe", id="no UTF-8"),
        pytest.param(b"null", id="null"),
        pytest.param(b"[]", id="a list"),
        pytest.param(DEEP, id="deep lists"),
    ],
)
def test_what_is_no_object_is_a_dead_letter(feed: str, value: bytes | None) -> None:
    check_dead(value, feed)


@pytest.mark.parametrize("feed", sorted(FEEDS))
@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"extra": 1}, id="a field too many"),
        pytest.param({"$set": 1}, id="a key with a dollar"),
        pytest.param({"meta.change": 1}, id="a key with a dot"),
        pytest.param({"schema_version": 2}, id="another schema"),
        pytest.param({"feed": "weather"}, id="another feed"),
        pytest.param({"event_id": ""}, id="no id"),
        pytest.param({"event_id": "x" * 201}, id="an endless id"),
        pytest.param({"symbol": ""}, id="no symbol"),
        pytest.param({"symbol": 5}, id="a symbol that is a number"),
        pytest.param({"simulated": "no"}, id="text for yes or no"),
        pytest.param({"observed_at": "2026-01-02T15:00:00"}, id="a time without a zone"),
        pytest.param({"produced_at": "2026-01-02T15:00:00"}, id="produced without a zone"),
        pytest.param({"observed_at": "yesterday"}, id="no time"),
        pytest.param({"observed_at": 1767366000}, id="a time as a number"),
        pytest.param({"observed_at": "2026-02-30T00:00:00Z"}, id="no such day"),
        pytest.param({"observed_at": "0001-01-01T00:00:00+14:00"}, id="before all time"),
        pytest.param({"observed_at": "9999-12-31T23:59:59-14:00"}, id="after all time"),
        pytest.param({"produced_at": "0001-01-01T00:00:00+14:00"}, id="produced before time"),
    ],
)
def test_a_record_that_breaks_the_envelope_is_a_dead_letter(
    feed: str, changes: dict[str, Any]
) -> None:
    check_dead(encoded(feed, **changes), feed)


@pytest.mark.parametrize("feed", sorted(FEEDS))
def test_an_object_that_is_spoilt_is_a_dead_letter(feed: str) -> None:
    good = encoded(feed)
    symbol = f'"symbol":"{GOOD[feed]["symbol"]}"'.encode()
    assert symbol in good
    check_dead(good + b"{}", feed)
    check_dead(good[:-1], feed)
    check_dead(good.replace(symbol, b'"symbol":"I\xffM"'), feed)
    check_dead(good.replace(symbol, b'"symbol":"\\ud800"'), feed)
    check_dead(good.replace(symbol, b'"symbol":' + DEEP), feed)


@pytest.mark.parametrize(("feed", "name"), sorted(FIELDS))
def test_a_field_that_is_no_such_thing_is_a_dead_letter(feed: str, name: str) -> None:
    """Whatever a field of a feed is, it is no list, no truth value and no endless number."""
    if FIELDS[feed, name]:
        check_dead(encoded(feed, **{name: ...}), feed)
    nothing: tuple[Any, ...] = ([], {}, True)
    for wrong in nothing:
        check_dead(encoded(feed, **{name: wrong}), feed)
    good = encoded(feed, **{name: 1})
    check_dead(good.replace(f'"{name}":1'.encode(), f'"{name}":1e999'.encode()), feed)
    if isinstance(GOOD[feed].get(name), int | float):
        check_dead(encoded(feed, **{name: str(GOOD[feed][name])}), feed)
        check_dead(encoded(feed, **{name: -1e300}), feed)
        check_dead(encoded(feed, **{name: 1e300}), feed)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"price": None}, id="null for a number"),
        pytest.param({"price": 0}, id="no price"),
        pytest.param({"price": -1.5}, id="a negative price"),
        pytest.param({"volume": 2**63}, id="more than MongoDB counts"),
        pytest.param({"volume": -1}, id="a negative volume"),
        pytest.param({"volume": 1.5}, id="half a share"),
    ],
)
@pytest.mark.parametrize("feed", ["stocks", "quotes"])
def test_a_share_that_cannot_be_is_a_dead_letter(feed: str, changes: dict[str, Any]) -> None:
    check_dead(encoded(feed, **changes), feed)


def check_dead(value: bytes | None, feed: str) -> None:
    with pytest.raises(BadRecord) as bad:
        read(value, feed)
    assert bad.value.stage == "VALUE_CONVERTER"
    assert str(bad.value)


def logged(feed: str, observed_at: datetime, at: datetime, *, by_the_log: bool = True) -> Taken:
    """An event of this time, as it is taken from a record of that time."""
    value = encoded(feed, observed_at=observed_at.isoformat(), produced_at=START.isoformat())
    milliseconds = round(at.timestamp() * 1000)
    return taker(FEEDS[feed])(Record("t", 0, 0, None, value, (), milliseconds, int(by_the_log)))


def ahead_of(feed: str) -> timedelta:
    return timedelta(days=1) if feed in ("metals", "stocks") else timedelta(minutes=1)


@pytest.mark.parametrize("feed", sorted(FEEDS))
def test_a_time_that_is_ahead_of_the_log_is_not_believed_and_kept_beside(feed: str) -> None:
    last = START + ahead_of(feed)
    assert logged(feed, last, START) == (logged(feed, last, last).event, None)
    beyond = last + timedelta(milliseconds=1)
    event, claimed_at = logged(feed, beyond, START)
    assert (event.observed_at, claimed_at) == (START, beyond)
    assert logged(feed, beyond, START + timedelta(milliseconds=1)).claimed_at is None
    assert event == logged(feed, START, START).event


@pytest.mark.parametrize("feed", sorted(FEEDS))
@pytest.mark.parametrize("minutes", [-55, -2, 2, 55])
def test_whether_the_clock_of_who_sends_is_wrong_makes_no_difference(
    feed: str, minutes: int
) -> None:
    """An upstream that is right is believed, whatever the host of the producer thinks it is."""
    produced_at = START + timedelta(minutes=minutes)
    value = encoded(feed, observed_at=START.isoformat(), produced_at=produced_at.isoformat())
    milliseconds = round(START.timestamp() * 1000)
    event, claimed_at = taker(FEEDS[feed])(Record("t", 0, 0, None, value, (), milliseconds, 1))
    assert (event.observed_at, claimed_at) == (START, None)


@pytest.mark.parametrize("feed", sorted(FEEDS))
def test_without_the_time_of_the_log_only_the_clock_of_who_sent_is_known(feed: str) -> None:
    last = START + ahead_of(feed)
    assert logged(feed, last, START, by_the_log=False).event.observed_at == last
    with pytest.raises(BadRecord, match="after it was produced") as bad:
        logged(feed, last + timedelta(milliseconds=1), last, by_the_log=False)
    assert bad.value.stage == "VALUE_CONVERTER"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "the record has no value"),
        (encoded(price=-1.5), r">= 1e-09 - at `\$.price`"),
        (Unreadable.because("CorruptRecordError: no end", b"half"), "CorruptRecordError: no end"),
    ],
)
def test_a_dead_letter_says_what_is_wrong(value: bytes | None, said: str) -> None:
    with pytest.raises(BadRecord, match=said):
        read(value)


def test_a_time_is_as_fine_as_mongodb_keeps_it() -> None:
    event = read(encoded(observed_at="2026-01-02T15:00:00.123999Z"))
    assert event.observed_at == START + timedelta(milliseconds=123)


def test_a_time_of_another_zone_is_the_same_time() -> None:
    assert read(encoded(observed_at="2026-01-02T10:00:00-05:00")).observed_at == START


anything = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(),
    st.datetimes(timezones=st.just(UTC)).map(datetime.isoformat),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(), st.integers(), max_size=2),
)


@given(feed=st.sampled_from(sorted(FEEDS)), data=st.data())
def test_whatever_is_decoded_can_be_derived_and_stored(feed: str, data: st.DataObject) -> None:
    names = sorted(GOOD[feed])
    changes = data.draw(st.dictionaries(st.sampled_from(names), anything, max_size=2))
    try:
        value = msgspec.json.encode({**GOOD[feed], **changes})
    except UnicodeEncodeError:  # lone surrogates have no encoding
        return
    try:
        event = read(value, feed)
    except BadRecord:
        return
    history = FEEDS[feed].history(FEEDS[feed].window)
    if isinstance(history, History):
        before = msgspec.structs.replace(event, price=1e-9)
        history.add(START - timedelta(hours=30), FEEDS[feed].value(before))
    meta = FEEDS[feed].derive(event, history)
    history.add(event.observed_at, FEEDS[feed].value(event))
    assert bson.encode({"_id": event.event_id, **FEEDS[feed].document(event, meta)})


@given(st.binary())
def test_any_bytes_are_an_event_or_a_dead_letter(value: bytes) -> None:
    with pytest.raises(BadRecord):
        read(value)
