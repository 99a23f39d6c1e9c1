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

from millrace.events import Event
from millrace.feeds import FEEDS
from millrace.feeds.history import History
from millrace.processor.decode import decoder
from millrace.processor.errors import BadRecord

GOOD: Mapping[str, dict[str, Any]] = {
    name: msgspec.to_builtins(event) for name, event in ONE_OF_EACH.items()
}
DEEP = b"[" * 100_000


def read(value: bytes | None, feed: str = "stocks") -> Event:
    event: Event = decoder(FEEDS[feed])(value)
    return event


def encoded(**changes: Any) -> bytes:
    fields = {**GOOD["stocks"], **changes}
    return msgspec.json.encode({k: v for k, v in fields.items() if v is not ...})


@pytest.mark.parametrize("feed", sorted(FEEDS))
def test_what_a_producer_encodes_is_decoded(feed: str) -> None:
    event = ONE_OF_EACH[feed]
    assert read(msgspec.json.encode(event), feed) == event


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(None, id="no value"),
        pytest.param(b"", id="nothing"),
        pytest.param(b"{", id="cut off"),
        pytest.param(b"\xff\xfe", id="no UTF-8"),
        pytest.param(encoded(symbol="IBM").replace(b"IBM", b"I\xffM"), id="no UTF-8 in a string"),
        pytest.param(b"null", id="null"),
        pytest.param(b"[]", id="a list"),
        pytest.param(DEEP, id="deep lists"),
        pytest.param(
            encoded(symbol=1).replace(b'"symbol":1', b'"symbol":' + DEEP), id="deep inside"
        ),
        pytest.param(encoded() + b"{}", id="two documents"),
        pytest.param(encoded(price=...), id="a field is missing"),
        pytest.param(encoded(extra=1), id="a field too many"),
        pytest.param(encoded(**{"$set": 1}), id="a key with a dollar"),
        pytest.param(encoded(**{"meta.change": 1}), id="a key with a dot"),
        pytest.param(encoded(price="200.0"), id="a number as text"),
        pytest.param(encoded(price=None), id="null for a number"),
        pytest.param(encoded(price=0), id="no price"),
        pytest.param(encoded(price=-1.5), id="a negative price"),
        pytest.param(encoded(price=1e300), id="a price beyond all markets"),
        pytest.param(encoded(volume=1).replace(b'"volume":1', b'"volume":1e999'), id="infinite"),
        pytest.param(encoded(volume=2**63), id="more than MongoDB counts"),
        pytest.param(encoded(volume=-1), id="a negative volume"),
        pytest.param(encoded(volume=1.5), id="half a share"),
        pytest.param(encoded(schema_version=2), id="another schema"),
        pytest.param(encoded(feed="metals"), id="another feed"),
        pytest.param(encoded(event_id=""), id="no id"),
        pytest.param(encoded(event_id="x" * 201), id="an endless id"),
        pytest.param(encoded(symbol="IBM").replace(b"IBM", b"\\ud800"), id="half a character"),
        pytest.param(encoded(observed_at="2026-01-02T15:00:00"), id="a time without a zone"),
        pytest.param(encoded(produced_at="2026-01-02T15:00:00"), id="produced without a zone"),
        pytest.param(encoded(observed_at="yesterday"), id="no time"),
        pytest.param(encoded(observed_at=1767366000), id="a time as a number"),
        pytest.param(encoded(observed_at="2026-02-30T00:00:00Z"), id="no such day"),
        pytest.param(encoded(observed_at="0001-01-01T00:00:00+14:00"), id="before all time"),
        pytest.param(encoded(observed_at="9999-12-31T23:59:59-14:00"), id="after all time"),
        pytest.param(encoded(produced_at="0001-01-01T00:00:00+14:00"), id="produced before time"),
        pytest.param(encoded(observed_at="2026-01-03T15:00:02Z"), id="observed a day too early"),
    ],
)
def test_a_poisonous_record_is_a_dead_letter(value: bytes | None) -> None:
    with pytest.raises(BadRecord) as bad:
        read(value)
    assert bad.value.stage == "VALUE_CONVERTER"
    assert str(bad.value)


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
        history.add(START - timedelta(hours=30), 1e-9)
    meta = FEEDS[feed].derive(event, history)
    history.add(event.observed_at, FEEDS[feed].value(event))
    assert bson.encode({"_id": event.event_id, **FEEDS[feed].document(event, meta)})


@given(st.binary())
def test_any_bytes_are_an_event_or_a_dead_letter(value: bytes) -> None:
    with pytest.raises(BadRecord):
        read(value)
