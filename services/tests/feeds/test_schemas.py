"""The JSON Schemas in docs/schemas: what the processor takes is valid, what is broken is not."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from services.tests.feeds.events import ONE_OF_EACH, gpu, tokens

from millrace.feeds import FEEDS
from millrace.processor.decode import decoder
from millrace.processor.errors import BadRecord

SCHEMAS = Path(__file__).parents[3] / "docs" / "schemas"
floats = st.floats(0, 100)
counts = st.integers(0, 10**9)
events = st.one_of(
    st.builds(
        gpu,
        st.none() | floats,
        mem_used_mb=st.none() | floats,
        power_w=st.none() | floats,
        temp_c=st.none() | floats,
        energy_j=st.none() | floats,
        uuid=st.none() | st.just("GPU-1"),
    ),
    st.builds(
        tokens,
        counts,
        counts,
        latency_ms=st.none() | floats,
        gpu_name=st.none() | st.just("A"),
        span_s=st.none() | floats,
    ),
)


def validator(feed: str) -> Draft202012Validator:
    schema = json.loads((SCHEMAS / f"{feed}.json").read_text())
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)


VALIDATORS = {name: validator(name) for name in FEEDS}


def test_there_is_a_schema_for_every_feed_and_no_other() -> None:
    assert {path.stem for path in SCHEMAS.glob("*.json")} == {*FEEDS}


@given(events)
def test_every_event_is_valid(event: Any) -> None:
    VALIDATORS[event.feed].validate(json.loads(msgspec.json.encode(event)))


@pytest.mark.parametrize("feed", sorted(FEEDS))
def test_an_event_that_lacks_a_field_or_has_one_more_is_not(feed: str) -> None:
    plain = json.loads(msgspec.json.encode(ONE_OF_EACH[feed]))
    VALIDATORS[feed].validate(plain)
    assert not VALIDATORS[feed].is_valid({**plain, "colour": "red"})
    for name in ("event_id", "symbol", "observed_at", "source"):
        assert not VALIDATORS[feed].is_valid({n: v for n, v in plain.items() if n != name})


values = st.none() | st.booleans() | st.integers(-5, 10**10) | st.floats(-5, 300) | st.text()


@given(events, st.data())
def test_what_a_schema_refuses_the_processor_refuses_too(event: Any, data: st.DataObject) -> None:
    plain = json.loads(msgspec.json.encode(event))
    name = data.draw(st.sampled_from(sorted(plain)))
    changed = {**plain, name: data.draw(values)}
    if VALIDATORS[event.feed].is_valid(changed):
        return
    with pytest.raises(BadRecord):
        decoder(FEEDS[event.feed])(json.dumps(changed).encode())
