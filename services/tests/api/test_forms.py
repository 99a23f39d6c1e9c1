"""What others send, as pandas, JavaScript, spreadsheets and gateways write it: taken for what it
means, or refused in words that say what to do, and always one item at a time."""

import gzip
import json
from datetime import UTC, date, datetime
from typing import Any

import pytest
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st
from services.tests.api.test_api import problem
from services.tests.api.test_ingest import QUOTE, check, post
from services.tests.api.test_items import item
from services.tests.api.world import AUTHORIZED, World, document

from millrace.api import items, reading
from millrace.api.reading import MAX_ITEMS
from millrace.events import Event
from millrace.feeds import FEEDS
from millrace.parsing import scalars

PATH = "/v1/ingest/quotes"
NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
WHOLE = 1767355200


@pytest.fixture
def world() -> World:
    return World(*(document(n) for n in range(4)))


@pytest.fixture
def client(world: World) -> FlaskClient:
    return world.app().test_client()


def result(client: FlaskClient, world: World, text: str) -> Event | str:
    """What becomes of one item, by its JSON: the event, or why it is none."""
    (found,) = check_any(post(client, PATH, f'{{"events": [{text}]}}'.encode()))
    if found["status"] == "accepted":
        return world.kafka.records[-1][1]
    assert not world.kafka.records
    return str(found["reason"])


def check_any(answer: Any) -> list[dict[str, Any]]:
    assert answer.status_code in (202, 207), answer.text
    found: list[dict[str, Any]] = check(answer, answer.status_code)["results"]
    assert [one["index"] for one in found] == [*range(len(found))]
    return found


def sent(**values: str) -> str:
    """An item whose fields are these JSON texts."""
    plain = {name: json.dumps(value) for name, value in item({}).items()} | values
    return "{" + ", ".join(f'"{name}": {value}' for name, value in plain.items()) + "}"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("187.5", 187.5),
        ('"187.5"', 187.5),  # Decimal, and what exchanges send
        ('" 187.50 "', 187.5),
        ('"+187.5"', 187.5),
        ('"1.875e2"', 187.5),
        ('"1e3"', 1000.0),
        ("1E3", 1000.0),
        ('".5"', 0.5),
        ('"5."', 5.0),
    ],
)
def test_a_number_is_taken(client: FlaskClient, world: World, text: str, value: float) -> None:
    event: Any = result(client, world, sent(price=text))
    assert event.price == value


@pytest.mark.parametrize("text", ["300", "300.0", "3e2", '"300"', '"300.0"', '"3E2"'])
def test_a_whole_number_is_taken(client: FlaskClient, world: World, text: str) -> None:
    """pandas makes floats of all numbers of a column in which one is missing."""
    event: Any = result(client, world, sent(volume=text))
    assert (event.volume, type(event.volume)) == (300, int)


def test_a_whole_number_that_no_float_holds_is_taken_as_it_is(
    client: FlaskClient, world: World
) -> None:
    event: Any = result(client, world, sent(volume='"9007199254740993.0"'))
    assert event.volume == 9007199254740993


@pytest.mark.parametrize(
    "symbol", ["BRK B", "EUR=", "GC=F", "S/é", "東京", "\U0001f600", "BTC+USD"]
)
def test_a_name_that_can_be_seen_is_taken(client: FlaskClient, world: World, symbol: str) -> None:
    event: Any = result(client, world, sent(symbol=json.dumps(symbol)))
    assert event.symbol == symbol


def test_how_a_number_is_written_does_not_make_another_event(
    client: FlaskClient, world: World
) -> None:
    texts = ("300", "300.0", '"300"', '"3e2"')
    assert len({result(client, world, sent(volume=text)).event_id for text in texts}) == 1  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("price", '"1,234.5"', "`price` is '1,234.5', which is no number: write it like 1234.5"),
        ("price", '"12,5"', "which is no number"),
        ("price", '"1 234"', "without separators and units"),
        ("price", '"$12"', "which is no number"),
        ("price", '"12%"', "which is no number"),
        ("price", '"NaN"', "without separators and units"),
        ("price", '""', "without separators and units"),
        ("price", '"0x10"', "which is no number"),
        ("price", '"1_000"', "which is no number"),
        ("price", '"\u0661"', "which is no number"),
        ("price", json.dumps("9" * 10_000), "which is no number"),
        ("price", '"1e999"', "`price` is too large"),
        ("price", "NaN", "`price` is nan, which is no number"),
        ("price", "Infinity", "`price` is inf, which is no number"),
        ("price", "-Infinity", "`price` is -inf, which is no number"),
        ("price", "1e999", "`price` is inf, which is no number"),
        ("price", "true", "`price`"),
        ("volume", "300.5", "`volume`"),
        ("volume", '"300.5"', "`volume`"),
        ("volume", "NaN", "`volume` is nan"),
        ("volume", "9007199254740993.0", "`volume` is 9007199254740992.0, of which the last"),
        ("volume", '"9007199254740993.5"', "`volume`"),
        ("volume", '"1e999999"', "`volume`"),
        ("currency", '"usd"', "`currency` is 'usd': write its code in capitals, like USD, and GBX"),
        ("currency", '"GBp"', "`currency` is 'GBp': write its code in capitals"),
        ("currency", '"$"', "`currency` is '$': write its code in capitals"),
        ("currency", '"US Dollar"', "`currency` is 'US Dollar': write its code in capitals"),
        ("symbol", '"=\\"IBM\\""', "write it without what marks it as text"),
        ("symbol", '"\\"IBM\\""', "write it without what marks it as text"),
        ("symbol", "5", "`symbol`"),
        ("symbol", '"AAPL "', "`symbol` is 'AAPL ': it must not begin or end with a space"),
        ("symbol", '"\\ufeffAAPL"', "`symbol` is '\\ufeffAAPL'"),
        ("symbol", '"BRK\\u00a0B"', "a character that cannot be seen"),
        ("symbol", '"A\\nB"', "`symbol` is 'A\\nB'"),
        ("symbol", '"\\ud800"', "`symbol` is '\\ud800'"),
        (
            "symbol",
            '"AB\\ufffd"',
            "`symbol` is 'AB\\ufffd', which was not decoded as it was written",
        ),
        ("event_id", '" 1"', "`event_id` is ' 1'"),
        ("symbol", '"NaN"', "`symbol` is 'NaN', as programs write what is missing: fill it in"),
        ("symbol", '"None"', "`symbol` is 'None', as programs write what is missing"),
        ("symbol", '"null"', "`symbol` is 'null', as programs write what is missing"),
        ("symbol", '"undefined"', "`symbol` is 'undefined', as programs write what is missing"),
        ("symbol", '"#REF!"', "`symbol` is '#REF!', as programs write what is missing"),
        ("symbol", '"[object Object]"', "`symbol` is '[object Object]', as programs write"),
        ("currency", '"NONE"', "`currency` is 'NONE': write its code in capitals"),
        ("symbol", '""', "`symbol` is '', as programs write what is missing"),
        ("symbol", "null", "`symbol`"),
        ("currency", '"N/A"', "`currency` is 'N/A', as programs write what is missing"),
    ],
)
def test_what_is_no_number_is_refused_in_words(
    client: FlaskClient, world: World, name: str, text: str, reason: str
) -> None:
    found = result(client, world, sent(**{name: text}))
    assert isinstance(found, str)
    assert reason in found


@pytest.mark.parametrize("symbol", ["NA", "NAN", "NULL", "NONE"])
def test_a_share_that_is_called_like_nothing_is_one(
    client: FlaskClient, world: World, symbol: str
) -> None:
    event: Any = result(client, world, sent(symbol=f'"{symbol}"'))
    assert event.symbol == symbol


TIMES = {
    "JavaScript": '"2026-01-02T12:00:00.000Z"',
    "in lower case": '"2026-01-02t12:00:00z"',
    "pandas": '"2026-01-02 12:00:00+00:00"',
    "numpy": '"2026-01-02T12:00:00.000000000Z"',
    "strftime": '"2026-01-02T12:00:00+0000"',
    "Postgres": '"2026-01-02 12:00:00+00"',
    "BigQuery": '"2026-01-02 12:00:00 UTC"',
    "logging": '"2026-01-02 12:00:00,000 +0000"',
    "Java": '"2026-01-02T12:00Z"',
    "elsewhere": '"2026-01-02T17:30:00+05:30"',
    "seconds": str(WHOLE),
    "seconds in a float": f"{WHOLE}.0",
    "seconds in text": f'"{WHOLE}"',
    "milliseconds": f"{WHOLE}000",
    "milliseconds in text": f'"{WHOLE}000"',
    "microseconds": f"{WHOLE}000000",
    "nanoseconds": f"{WHOLE}000000000",
    "nanoseconds in a float": "1.7673552e18",
}


@pytest.mark.parametrize("text", TIMES.values(), ids=TIMES)
@pytest.mark.parametrize("name", ["observed_at", "ts", "timestamp"])
def test_a_time_is_taken(client: FlaskClient, world: World, text: str, name: str) -> None:
    other = {} if name == "observed_at" else {name: text}
    plain = sent(observed_at=text, **other)
    if other:
        plain = plain.replace(f'"observed_at": {text}, ', "")
    event: Any = result(client, world, plain)
    assert event.observed_at == NOON


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ('"2026-01-02T12:00:00.123456789Z"', 123),
        ('"2026-01-02T12:00:00.9999999Z"', 999),
        ('"2026-01-02T12:00:00.5Z"', 500),
        (f"{WHOLE}.123", 123),
        (f"{WHOLE}.999999", 999),
        (f"{WHOLE}123", 123),
        (f"{WHOLE}123456", 123),
        (f"{WHOLE}123456789", 123),
    ],
)
def test_a_fraction_is_kept_in_milliseconds(
    client: FlaskClient, world: World, text: str, milliseconds: int
) -> None:
    event: Any = result(client, world, sent(observed_at=text))
    assert event.observed_at == NOON.replace(microsecond=1000 * milliseconds)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('"2026-01-02T12:00:00"', "lacks its offset from UTC, such as Z"),
        ('"2026-01-02 12:00:00.000000000"', "lacks its offset"),
        ('"2026-01-02"', "with its offset from UTC, or as a Unix time"),
        ('"01/02/2026 12:00"', "write it like 2026-01-02T15:00:00Z"),
        ('"Fri, 02 Jan 2026 12:00:00 GMT"', "write it like"),
        ('"2026-02-30T12:00:00Z"', "which there is not: day is out of range"),
        ('"2026-01-02T12:00:60Z"', "which there is not: second must be in 0..59"),
        ('"2026-01-02T12:00:00+99:00"', "which there is not"),
        ('"NaT"', "write it like"),
        ('""', "write it like"),
        ("null", "is no time: write it like"),
        ("true", "is no time"),
        ("[]", "is no time"),
        ("86400", "a number is a Unix time since 2000"),
        ("46024.5", "a number is a Unix time since 2000"),  # a spreadsheet's days
        ("20260102120000", "a number is a Unix time"),
        ("639000000000000000", "write any other time in ISO 8601, like 2026-01-02T15:00:00Z"),
        ('"639000000000000000"', "a number is a Unix time"),  # ticks of .NET in 2025
        ("946684799999", "a number is a Unix time"),
        ("-1", "a number is a Unix time"),
        ("NaN", "a number is a Unix time"),
        ("1" + 400 * "0", "a number is a Unix time"),
    ],
)
def test_what_is_no_time_is_refused_in_words(
    client: FlaskClient, world: World, text: str, reason: str
) -> None:
    found = result(client, world, sent(observed_at=text))
    assert isinstance(found, str)
    assert found.startswith("`observed_at` ")
    assert reason in found or "more than 60 s after" in found


def test_digits_that_are_a_date_are_no_time_of_another_century() -> None:
    with pytest.raises(ValueError, match="Unix time"):
        scalars.time(20260102)


@pytest.mark.parametrize(
    "value", [951_868_800, 951_868_800.0, "951868800000", 951_868_800_000_000, 951_868_800 * 10**9]
)
def test_a_number_is_a_time_of_the_last_century_too(value: Any) -> None:
    assert scalars.time(value) == datetime(2000, 3, 1, tzinfo=UTC)


@pytest.mark.parametrize("digits", ["20130228", "201302281600", "20130228160000", "36586"])
def test_digits_of_a_date_are_no_unix_time(digits: str) -> None:
    with pytest.raises(ValueError, match="a number is a Unix time since 2000"):
        scalars.time(digits)


@pytest.mark.parametrize(
    "text",
    [
        "2000-03-01",
        " 2000-03-01 ",
        "20000301",
        "2000-03-01 00:00:00",
        "2000-03-01T00:00",
        "2000-03-01 00:00:00+00:00",
        "2000-03-01 00:00:00-05:00",
        "2000-03-01T00:00:00.000Z",
        "951868800",
        "951868800.0",
        "951868800000",
        "951868800000000",
        "951868800000000000",
    ],
)
def test_a_day_is_taken(text: str) -> None:
    assert scalars.day(text) == date(2000, 3, 1)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("3/1/2000", "is '3/1/2000': write the day like 2026-01-02"),
        ("01.03.2000", "write the day like"),
        ("2000-02-30", "is '2000-02-30': write the day like"),
        ("NaT", "is 'NaT': write the day like"),
        ("", "write the day like"),
        ("x" * 500, "write the day like"),
        ("2000-03-01T10:00:00.000Z", "so write the day alone, like 2026-01-02"),
        ("2000-03-01 00:00:01", "write the day alone"),
        ("2000-03-01 00:00:00.5+00:00", "write the day alone"),
        ("951868801", "write the day alone"),
        ("36586", "a number is a Unix time since 2000"),  # a spreadsheet's
        ("199903", "a number is a Unix time"),
        ("639000000000000000", "a number is a Unix time"),  # ticks of .NET
    ],
)
def test_what_is_no_day_is_refused_in_words(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match="is ") as caught:
        scalars.day(text)
    assert reason in str(caught.value)
    assert len(str(caught.value)) < 250


def test_a_number_is_a_time_from_2000_on() -> None:
    first = 946_684_800
    for unit in (1, 10**3, 10**6, 10**9):
        assert scalars.time(first * unit) == datetime(2000, 1, 1, tzinfo=UTC)
        with pytest.raises(ValueError, match="since 2000"):
            scalars.time(first * unit - 1)


@given(st.integers(10**15, 7 * 10**15))
def test_the_size_of_a_number_tells_its_unit(microseconds: int) -> None:
    time = datetime(1970, 1, 1, tzinfo=UTC) + microseconds * scalars.MICROSECOND
    assert scalars.time(microseconds) == scalars.time(1000 * microseconds) == time
    whole = time.replace(microsecond=0)
    assert scalars.time(microseconds // 1_000_000) == whole
    assert scalars.time(microseconds // 1_000_000 * 1000) == whole
    assert scalars.time(time.isoformat()) == scalars.time(str(time)) == time


@given(st.text() | st.integers() | st.floats() | st.none())
def test_anything_is_a_time_with_an_offset_or_refused_in_words(value: Any) -> None:
    for read in (scalars.time, scalars.number):
        try:
            found = read(value)
        except ValueError as error:
            assert str(error).startswith(("is ", "lacks "))
        else:
            assert read is scalars.number or found.tzinfo is not None


def test_an_absent_value_of_a_gpu_is_null(client: FlaskClient, world: World) -> None:
    plain = {**item({}, "gpu_metrics"), "gpu_index": 0.0, "utilization": None, "power_w": "281.44"}
    assert post(client, "/v1/ingest/gpu_metrics", {"events": [plain]}).status_code == 202
    ((_, event),) = world.kafka.records
    assert event.symbol == "gpu-host/0"
    assert (event.utilization, event.power_w) == (None, 281.44)  # type: ignore[attr-defined]


@pytest.mark.parametrize(("name", "advice"), [("utilization", True), ("gpu_index", False)])
@pytest.mark.parametrize("text", ['"NaN"', "NaN"])
def test_null_is_advised_where_it_may_be(
    client: FlaskClient, name: str, advice: bool, text: str
) -> None:
    plain = {key: json.dumps(value) for key, value in item({}, "gpu_metrics").items()}
    body = ", ".join(f'"{key}": {value}' for key, value in (plain | {name: text}).items())
    answer = post(client, "/v1/ingest/gpu_metrics", f'{{"events": [{{{body}}}]}}'.encode())
    (found,) = check_any(answer)
    assert f"`{name}` is" in found["reason"]
    assert ("null where there is no value" in found["reason"]) is advice


GOOD = [sent(symbol='"A"'), sent(symbol='"B"')]
BATCHES = {
    "an object": '{"events": [%s, %s]}',
    "an array": "[%s, %s]",
    "an array over lines": "\r\n[\r\n%s,\r\n%s\r\n]\r\n",
    "with a byte order mark": '\ufeff{"events": [%s, %s]}',
    "an array with one": "\ufeff[%s, %s]",
}
LINES = {
    "lines": "%s\n%s\n",
    "lines of Windows": "%s\r\n%s\r\n",
    "lines of old Macs": "%s\r%s\r",
    "with empty lines": "\n%s\n\n  \n%s",
    "with a byte order mark": "\ufeff%s\n%s",
}


@pytest.mark.parametrize("form", BATCHES.values(), ids=BATCHES)
@pytest.mark.parametrize("charset", ["", "; charset=utf-8", '; charset="UTF-8"', ";charset=utf8"])
def test_a_batch_is_taken(client: FlaskClient, world: World, form: str, charset: str) -> None:
    body = (form % (*GOOD,)).encode()
    answer = post(client, PATH, body, **{"Content-Type": f"application/json{charset}"})
    assert [one["status"] for one in check_any(answer)] == ["accepted", "accepted"]
    assert [event.symbol for _, event in world.kafka.records] == ["A", "B"]


@pytest.mark.parametrize("form", LINES.values(), ids=LINES)
@pytest.mark.parametrize("kind", ["application/x-ndjson", "application/jsonl"])
def test_items_one_a_line_are_taken(
    client: FlaskClient, world: World, form: str, kind: str
) -> None:
    answer = post(client, PATH, (form % (*GOOD,)).encode(), **{"Content-Type": kind})
    assert [one["status"] for one in check_any(answer)] == ["accepted", "accepted"]
    assert [event.symbol for _, event in world.kafka.records] == ["A", "B"]


@pytest.mark.parametrize("bad", ["NaN", "-Infinity", "1e999", '"1,234.5"', '"\\ud800"'])
@pytest.mark.parametrize("form", ['{"events": [%s, %s, %s]}', "[%s, %s, %s]", "%s\n%s\n%s"])
def test_one_item_spoils_no_other(client: FlaskClient, world: World, form: str, bad: str) -> None:
    kind = "application/x-ndjson" if "\n" in form else "application/json"
    body = (form % (GOOD[0], sent(price=bad), GOOD[1])).encode()
    found = check_any(post(client, PATH, body, **{"Content-Type": kind}))
    assert [one["status"] for one in found] == ["accepted", "rejected", "accepted"]
    assert [event.symbol for _, event in world.kafka.records] == ["A", "B"]
    assert "`price`" in found[1]["reason"]


def test_a_line_that_is_no_json_spoils_no_other(client: FlaskClient, world: World) -> None:
    body = "\n".join([GOOD[0], GOOD[1][:-1], "symbol,price", GOOD[1]]).encode()
    found = check_any(post(client, PATH, body, **{"Content-Type": "application/x-ndjson"}))
    assert [one["status"] for one in found] == ["accepted", "rejected", "rejected", "accepted"]
    assert "malformed" in found[2]["reason"]
    assert len(world.kafka.records) == 2


@pytest.mark.parametrize(
    "body",
    [
        GOOD[0],
        "\n".join(GOOD),
        f'{{"events": {GOOD[0]}}}',
        '{"events": "AA"}',
        '{"events": {"a": NaN}}',
        '{"events": [NaN], "more": 1}',
        '"text"',
        "NaN",
        "[]",
    ],
)
def test_what_is_no_batch_is_told_what_is_one(client: FlaskClient, world: World, body: str) -> None:
    assert reading.HOW in problem(post(client, PATH, body.encode()), 400)
    assert not world.kafka.records


def test_the_number_of_items_is_bounded_whatever_form_they_have(client: FlaskClient) -> None:
    lines = {"Content-Type": "application/x-ndjson"}
    for end in (b"1", b"NaN"):
        body = b"[" + b"1," * MAX_ITEMS + end + b"]"
        problem(post(client, PATH, body), 400)
    for body, count in ((b"1\n" * (MAX_ITEMS + 1), MAX_ITEMS + 1), (b"\n", 0)):
        detail = problem(post(client, PATH, body, **lines), 400)
        assert detail == f"The body has {count} items: send from 1 to {MAX_ITEMS}."
    most = [b"1"] * MAX_ITEMS
    for body, headers in (
        (b"[%s]" % b",".join(most), {}),
        (b"[%s]" % b",".join([*most[1:], b"NaN"]), {}),
        (b"\n".join(most), lines),
    ):
        assert len(check_any(post(client, PATH, body, **headers))) == MAX_ITEMS


@pytest.mark.parametrize(
    ("form", "headers"),
    [
        ("[%s]", {"Content-Type": "application/json; charset=UTF-8"}),
        ("[%s]", {"Content-Type": "application/json; charset=utf8"}),
        ("[%s]", {"Content-Type": "application/json; charset=us-ascii"}),
        ("[%s]", {"Content-Encoding": "Identity"}),
        ("%s", {"Content-Type": "application/ndjson"}),
        ("%s", {"Content-Type": "application/jsonl; charset=ASCII"}),
    ],
)
def test_what_can_be_read_is_taken(client: FlaskClient, form: str, headers: dict[str, str]) -> None:
    assert post(client, PATH, (form % GOOD[0]).encode(), **headers).status_code == 202


@pytest.mark.parametrize(
    ("headers", "detail"),
    [
        ({"Content-Type": "application/json; charset=iso-8859-1"}, "UTF-8"),
        ({"Content-Type": "application/json; charset=utf-16"}, "UTF-8"),
        ({"Content-Type": "application/x-ndjson; charset=latin1"}, "UTF-8"),
        ({"Content-Type": "text/csv"}, "application/json or application/x-ndjson"),
        ({"Content-Type": "application/x-www-form-urlencoded"}, "has to be application/json"),
        ({"Content-Encoding": "gzip"}, "without a Content-Encoding such as gzip"),
        ({"Content-Encoding": "br"}, "without a Content-Encoding"),
    ],
)
def test_what_cannot_be_read_as_it_is_says_so(
    client: FlaskClient, world: World, headers: dict[str, str], detail: str
) -> None:
    body = gzip.compress(b"[]") if "Content-Encoding" in headers else b"[]"
    answer = post(client, PATH, body, **headers)
    assert detail in problem(answer, 415)
    assert ("Accept-Encoding" in answer.headers) == ("Content-Encoding" in headers)
    assert not world.kafka.records


@pytest.mark.parametrize(
    "changes",
    [
        {"price": "187.5", "volume": 300.0},
        {"timestamp": 1767366000},
        {"timestamp": "2026-01-02 15:00:00+00:00"},
    ],
)
def test_a_single_quote_is_taken_in_the_same_forms(
    client: FlaskClient, world: World, changes: dict[str, Any]
) -> None:
    for body in (QUOTE, {**QUOTE, **changes}):
        text = "\ufeff" + json.dumps(body)
        assert post(client, "/ingest/quote", text.encode()).status_code == 202
    one, other = (event for _, event in world.kafka.records)
    assert one.event_id == other.event_id


def test_what_is_there_twice_is_refused_and_named(client: FlaskClient, world: World) -> None:
    """Readers of JSON differ in which of the two they take."""
    twice = GOOD[0][:-1] + ', "price": 1}'
    for form in ('{"events": [%s, %s]}', "[%s, %s]", "[%s, %s, NaN]"):
        found = check_any(post(client, PATH, (form % (twice, GOOD[1])).encode()))
        assert [one["status"] for one in found][:2] == ["rejected", "accepted"]
        assert found[0]["reason"] == "`price` is there twice: send it once"
    assert [event.symbol for _, event in world.kafka.records] == ["B", "B", "B"]
    body = json.dumps(QUOTE)[:-1] + ', "price": 1}'
    assert "`price` is there twice" in problem(post(client, "/ingest/quote", body.encode()), 400)


@pytest.mark.parametrize(
    "body",
    [
        '{"events": [%s], "events": [%s]}',
        '{"events": [%s],\n"\\u0065vents":\t[%s]\n}',
        '{"events": [NaN, %s], "events": [%s]}',
        '{"events": [%s], "events": [%s, NaN]}',
        '{"events": {"a": %s}, "events": [%s]}',
        f'{{"events": [%s, {"9" * 5000}], "events": [%s]}}',
    ],
)
def test_a_batch_that_names_its_items_twice_is_refused(
    client: FlaskClient, world: World, body: str
) -> None:
    detail = problem(post(client, PATH, (body % (*GOOD,)).encode()), 400)
    assert detail.startswith("`events` is there twice: send it once. ")
    assert not world.kafka.records


def test_a_single_quote_with_nan_is_a_problem_that_names_the_field(client: FlaskClient) -> None:
    body = json.dumps({**QUOTE, "price": float("nan")}).encode()
    assert "`price` is nan" in problem(post(client, "/ingest/quote", body), 400)
    assert "truncated" in problem(post(client, "/ingest/quote", b"{"), 400)


@pytest.mark.parametrize(
    "start",
    [
        "2024-01-01T00:02:00Z",
        "2024-01-01t00:02:00z",
        "2024-01-01 00:02:00%2B00:00",
        "2024-01-01T00:02:00.000000000Z",
        "2024-01-01T01:02:00+01:00",
        "2024-01-01T01:02:00.000+0100",
        "2024-01-01T01:02+01",
        "2024-01-01%2000:02:00%20UTC",
        "1704067320",
        "1704067320.0",
        "1704067320000",
        "1704067320000000000",
    ],
)
def test_a_time_in_a_query_is_taken(client: FlaskClient, start: str) -> None:
    """A + that is not encoded comes as a space."""
    answer = client.get(f"/v1/stocks/events?from={start}", headers=AUTHORIZED)
    assert answer.status_code == 200, answer.text
    found = [event["event_id"].rsplit(":")[-1] for event in answer.get_json()["events"]]
    assert found == ["3", "2"]


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ("from=2024-01-01", "`from` is '2024-01-01': write it like"),
        ("from=2024-01-01 00:00", "`from` lacks its offset from UTC"),
        ("to=2024-01-01T00:00:00", "`to` lacks its offset from UTC"),
        ("to=yesterday", "`to` is 'yesterday': write it like"),
        ("to=NaN", "`to` is 'NaN'"),
        ("to=9", "a number is a Unix time since 2000"),
        ("from=639000000000000000", "`from` is 639000000000000000: a number is a Unix time"),
        ("limit=1,000", "`limit` is '1,000', which is no number"),
        ("limit=ten", "`limit` is 'ten', which is no number"),
        ("limit=", "`limit` is ''"),
        ("limit=1.5", "`limit`"),
        ("limit=1e9", "`limit`"),
    ],
)
def test_what_is_not_understood_in_a_query_is_refused_in_words(
    client: FlaskClient, query: str, detail: str
) -> None:
    answer = client.get(f"/v1/stocks/events?{query}", headers=AUTHORIZED)
    assert detail in problem(answer, 400)


@pytest.mark.parametrize("limit", ["2", "%202", "+2", "2.0", "2e0"])
def test_a_number_in_a_query_is_taken(client: FlaskClient, limit: str) -> None:
    answer = client.get(f"/v1/stocks/events?limit={limit}", headers=AUTHORIZED)
    assert len(answer.get_json()["events"]) == 2


def test_the_numbers_of_a_feed_are_known() -> None:
    assert items.numbers(FEEDS["stocks"]) == {
        **dict.fromkeys(("open", "high", "low", "price"), (False, False)),
        "volume": (True, False),
    }
    gpu = items.numbers(FEEDS["gpu_metrics"])
    assert (gpu["gpu_index"], gpu["utilization"]) == ((True, False), (False, True))
