"""A dead letter holds its record, and its headers say where it is and what was missing."""

from typing import Any

import pytest

from millrace.clients.letter_headers import PARTIAL, PREFIX
from millrace.clients.records import Unreadable
from millrace.processor.batch import Message, Unread
from millrace.processor.errors import BadRecord
from millrace.processor.sinks.dead_letters import (
    LONGEST_HEADERS,
    LONGEST_KEY,
    LONGEST_REASON,
    LONGEST_VALUE,
    WHOLE_BYTES,
    letter,
    shortened,
)

NULL = PREFIX + "null"


def made(**record: Any) -> Message:
    fields: dict[str, Any] = {"key": b"k", "value": b"v"} | record
    return letter("dead-letters", Unread("metal-prices", 2, 5, **fields), BadRecord("STAGE", "why"))


def values_of(message: Message, name: str) -> list[bytes | None]:
    return [value for found, value in message.headers if found == name]


def test_a_letter_is_the_record_and_what_connect_says_of_an_error() -> None:
    # KIP-298: the names and their order are what its users' tools look for.
    assert made(headers=[("h", b"x"), ("h", b"y")]) == (
        "dead-letters",
        b"k",
        b"v",
        [
            ("h", b"x"),
            ("h", b"y"),
            ("__connect.errors.topic", b"metal-prices"),
            ("__connect.errors.partition", b"2"),
            ("__connect.errors.offset", b"5"),
            ("__connect.errors.connector.name", b"millrace-processor"),
            ("__connect.errors.task.id", b"0"),
            ("__connect.errors.stage", b"STAGE"),
            ("__connect.errors.class.name", b"millrace.processor"),
            ("__connect.errors.exception.class.name", b"BadRecord"),
            ("__connect.errors.exception.message", b"why"),
        ],
    )


def test_a_reason_is_bounded() -> None:
    long = BadRecord("STAGE", 3 * LONGEST_REASON * "x")
    found = letter("dead-letters", Unread("t", 0, 0, b"v"), long)
    (said,) = values_of(found, PREFIX + "exception.message")
    assert said == LONGEST_REASON * b"x"


def test_a_letter_from_a_log_that_has_a_name_says_it() -> None:
    record, why = Unread("t", 0, 5, b"v"), BadRecord("STAGE", "why")
    assert values_of(letter("dead-letters", record, why), PREFIX + "log") == []
    named = letter("dead-letters", record, why, "second")
    assert values_of(named, "__connect.errors.log") == [b"second"]


@pytest.mark.parametrize(
    ("record", "key", "value", "nulls"),
    [
        ({}, b"k", b"v", []),
        ({"key": None}, None, b"v", []),
        ({"value": None}, b"k", None, []),
        # The client sends no record without both.
        ({"key": None, "value": None}, b"", None, [b"key"]),
        ({"key": b"", "value": b""}, b"", b"", []),
    ],
)
def test_what_a_record_has_not_its_letter_has_not_either(
    record: dict[str, Any], key: bytes | None, value: bytes | None, nulls: list[bytes]
) -> None:
    found = made(**record)
    assert (found.key, found.value) == (key, value)
    assert values_of(found, NULL) == nulls


def test_a_header_without_a_value_is_empty_and_named() -> None:
    found = made(headers=[("one", None), ("two", b""), ("three", b"3")])
    assert list(found.headers[:3]) == [("one", b""), ("two", b""), ("three", b"3")]
    assert values_of(found, NULL) == [b"header one"]


def test_what_could_not_be_read_is_sent_as_bytes_and_said_to_be_part_of_the_log() -> None:
    found = made(value=Unreadable.because("CRC", b"\x00spoilt"))
    assert (found.value, type(found.value)) == (b"\x00spoilt", bytes)
    assert len(values_of(found, PARTIAL)) == 1
    assert values_of(made(), PARTIAL) == []


def sized(key: int, value: int, header: int) -> Message:
    return Message("dead-letters", b"k" * key, b"v" * value, [("h", b"x" * header)])


def test_what_every_broker_takes_is_whole() -> None:
    # The name of the header counts too.
    whole = sized(1000, WHOLE_BYTES - 1000 - 1 - 9, 9)
    assert shortened(whole) is whole
    assert shortened(sized(1000, WHOLE_BYTES - 1000 - 1 - 9, 10)) is not whole


@pytest.mark.parametrize(
    ("sizes", "kept"),
    [
        ((1, WHOLE_BYTES, 1), (1, LONGEST_VALUE, True)),
        ((WHOLE_BYTES, 1, 1), (LONGEST_KEY, 1, True)),
        ((1, 1, WHOLE_BYTES), (1, 1, False)),
        # Each of them is as long as it may be, and no longer.
        (
            (LONGEST_KEY + 1, LONGEST_VALUE, WHOLE_BYTES),
            (LONGEST_KEY, LONGEST_VALUE, False),
        ),
        ((LONGEST_KEY, WHOLE_BYTES, 1), (LONGEST_KEY, LONGEST_VALUE, True)),
        ((WHOLE_BYTES, LONGEST_VALUE, LONGEST_HEADERS - 1), (LONGEST_KEY, LONGEST_VALUE, True)),
    ],
)
def test_of_what_is_larger_each_part_is_kept_as_far_as_it_fits(
    sizes: tuple[int, int, int], kept: tuple[int, int, bool]
) -> None:
    large = sized(*sizes)
    short = shortened(large)
    assert short.topic == large.topic
    assert (len(short.key or b""), len(short.value or b"")) == kept[:2]
    assert (large.headers[0] in short.headers) is kept[2]
    (said,) = values_of(short, PARTIAL)
    assert said is not None
    told = said.decode()
    for size, limit, part in zip(
        sizes,
        (LONGEST_KEY, LONGEST_VALUE, LONGEST_HEADERS),
        ("key", "value", "header"),
        strict=True,
    ):
        assert (part in told) is (size > limit), "it says what is missing, and of nothing else"


@pytest.mark.parametrize("missing", ["key", "value"])
def test_a_large_record_may_have_no_key_or_no_value(missing: str) -> None:
    parts = {"key": b"x" * WHOLE_BYTES, "value": b"x" * WHOLE_BYTES, missing: None}
    short = shortened(Message("dead-letters", parts["key"], parts["value"], [("h", b"x")]))
    assert getattr(short, missing) is None
    assert len(short.key or short.value or b"") in (LONGEST_KEY, LONGEST_VALUE)
