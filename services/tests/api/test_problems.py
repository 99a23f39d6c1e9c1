"""What a problem says: one sentence for whoever sent the request, which names what to change."""

import json
from typing import Any

import pytest
from flask.testing import FlaskClient
from services.tests.api.test_api import problem
from services.tests.api.test_ingest import QUOTE, post
from services.tests.api.test_items import item
from services.tests.api.world import AUTHORIZED, AWAY, SENDING, STRANGER, World, document

from millrace.api import bodies, ingest, stream
from millrace.api.reading import HOW, MAX_ITEMS

EVENTS, INGEST = "/v1/stocks/events", "/v1/ingest/quotes"


@pytest.fixture
def world() -> World:
    world = World(*(document(number) for number in range(3)))
    # Streams end at once.
    world.stop.set()
    return world


@pytest.fixture
def client(world: World) -> FlaskClient:
    return world.app().test_client()


@pytest.mark.parametrize(
    ("header", "status", "detail"),
    [
        (None, 401, "A bearer token is needed."),
        ("Basic cmVhZGVyOng=", 401, "Only bearer tokens are accepted."),
        ("Bearer wrong", 401, "The token is not known."),
        (f"Bearer {STRANGER}", 403, "The token lacks the scope read."),
    ],
)
def test_who_may_not_ask_is_told_why(
    client: FlaskClient, header: str | None, status: int, detail: str
) -> None:
    headers = {} if header is None else {"Authorization": header}
    assert problem(client.get("/v1/feeds", headers=headers), status) == detail


@pytest.mark.parametrize(
    ("path", "status", "detail"),
    [
        ("/v1/feeds?x=1", 400, "The query contains unknown field `x`."),
        ("/v1/stocks/latest?x=1", 400, "The query contains unknown field `x`."),
        (f"{EVENTS}?symbol=", 400, "Expected `str` of length >= 1 - at `symbol`."),
        (f"{EVENTS}?limit=1.5", 400, "Expected `int`, got `float` - at `limit`."),
        (f"{EVENTS}?limit=1e9", 400, "Expected `int` <= 1000 - at `limit`."),
        (f"{EVENTS}?order=up", 400, "Invalid enum value 'up' - at `order`."),
        (
            f"{EVENTS}?to=0001-01-01T00:00:00%2B10:00",
            400,
            "The time in `to` is out of range.",
        ),
        (f"{EVENTS}?cursor=bogus", 400, "The cursor is not one that this API has made."),
        ("/v1/nothing/events", 404, "There is no such feed; /v1/feeds lists them."),
        ("/v1/nothing/latest", 404, "There is no such feed; /v1/feeds lists them."),
        ("/v1/nothing/stream", 404, "There is no such feed; /v1/feeds lists them."),
        ("/market_data/last_price/A?x=1", 400, "This route has no query parameters."),
        ("/market_data/last_quote/nobody", 404, "No quote of this symbol is known."),
        ("/gpu/info", 404, "No GPU has told anything yet."),
    ],
)
def test_what_was_asked_wrongly_is_named(
    client: FlaskClient, path: str, status: int, detail: str
) -> None:
    assert problem(client.get(path, headers=AUTHORIZED), status) == detail


@pytest.mark.parametrize(
    ("position", "detail"),
    [
        ("bogus", "The position is not one that this API has made."),
        ("0:1,0:2", "The position is not one that this API has made."),
        ("0:13,1:4", "The position is ahead of the log."),
    ],
)
def test_a_position_that_cannot_be_is_refused(
    client: FlaskClient, position: str, detail: str
) -> None:
    headers = AUTHORIZED | {"Last-Event-ID": position}
    assert problem(client.get("/v1/stocks/stream", headers=headers), 400) == detail


def test_a_cursor_is_taken_as_it_was_given_out(client: FlaskClient) -> None:
    path = f"{EVENTS}?limit=1&cursor="
    cursor = client.get(f"{EVENTS}?limit=1", headers=AUTHORIZED).get_json()["next"]
    assert client.get(path + cursor, headers=AUTHORIZED).status_code == 200
    changed = f"{cursor[:5]}!{cursor[5:]}"
    detail = "The cursor is not one that this API has made."
    assert problem(client.get(path + changed, headers=AUTHORIZED), 400) == detail
    detail = "The cursor belongs to a query with other parameters."
    assert problem(client.get(f"{path}{cursor}&symbol=A", headers=AUTHORIZED), 400) == detail


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"{", "Input data was truncated."),
        (b"[" * 100_000, "JSON is nested too deeply."),
        (b"[]", "Expected `array` of length >= 1."),
        (b"null", "Expected `object`, got `null`."),
        (b'{"events": {}}', "Expected `array`, got `object` - at `events`."),
        (b'{"events": [1], "more": 1}', "The body contains unknown field `more`."),
        (
            json.dumps({"events": [1] * (MAX_ITEMS + 1)}).encode(),
            f"Expected `array` of length <= {MAX_ITEMS} - at `events`.",
        ),
    ],
)
def test_who_sends_no_batch_is_told_how_one_looks(
    client: FlaskClient, body: bytes, detail: str
) -> None:
    assert problem(post(client, INGEST, body), 400) == f"{detail} {HOW}"


@pytest.mark.parametrize(
    ("changes", "detail"),
    [
        ({"extra": 1}, "The body contains unknown field `extra`."),
        ({"price": -1}, "Expected `float` >= 1e-09 - at `price`."),
        ({"price": "12,5"}, "`price` is '12,5', which is no number"),
        ({"timestamp": "1899-12-31T23:59:59Z"}, "`timestamp` is out of range."),
    ],
)
def test_who_sends_a_bad_quote_is_told_which_field(
    client: FlaskClient, changes: dict[str, Any], detail: str
) -> None:
    assert problem(post(client, "/ingest/quote", QUOTE | changes), 400).startswith(detail)


@pytest.mark.parametrize(
    ("feed", "changes", "reason"),
    [
        ("quotes", {"price": True}, "Expected `float`, got `bool` - at `price`"),
        ("quotes", {"observed_at": ..., "ts": "1899-12-31T00:00:00Z"}, "`ts` is out of range"),
        ("quotes", {"observed_at": ...}, "`observed_at` is missing"),
        ("gpu_metrics", {"gpu_index": ...}, "`gpu_index` is missing"),
        ("quotes", None, "an event is a JSON object"),
    ],
)
def test_an_item_that_is_rejected_says_why(
    client: FlaskClient, feed: str, changes: dict[str, Any] | None, reason: str
) -> None:
    sent = 5 if changes is None else item(changes, feed)
    (found,) = post(client, f"/v1/ingest/{feed}", [sent]).get_json()["results"]
    assert found == {"index": 0, "status": "rejected", "reason": reason}


@pytest.mark.parametrize(
    ("path", "headers", "status", "detail"),
    [
        (
            INGEST,
            {"Content-Type": "text/csv"},
            415,
            "The body's Content-Type has to be application/json or application/x-ndjson.",
        ),
        (
            "/ingest/quote",
            {"Content-Type": "text/csv"},
            415,
            "The body's Content-Type has to be application/json.",
        ),
        (
            INGEST,
            {"Content-Type": "application/json; charset=latin1"},
            415,
            "The body has to be in UTF-8.",
        ),
        (
            INGEST,
            {"Content-Encoding": "gzip"},
            415,
            "The body has to be sent as it is, without a Content-Encoding such as gzip.",
        ),
        (INGEST, {"Transfer-Encoding": "chunked"}, 411, "The body's Content-Length is needed."),
        ("/v1/ingest/nothing", {}, 404, "There is no such feed; /v1/feeds lists them."),
    ],
)
def test_a_body_that_is_not_read_says_what_would_be(
    client: FlaskClient, path: str, headers: dict[str, str], status: int, detail: str
) -> None:
    assert problem(post(client, path, b"[]", **headers), status) == detail


def test_a_body_has_its_place_and_its_size(client: FlaskClient) -> None:
    answer = client.get("/v1/feeds", headers=AUTHORIZED, data=b"x")
    assert problem(answer, 413) == "No request to this path has a body."
    largest = b" " * (bodies.LARGEST - 1) + b"5"
    assert "Expected `object`" in problem(post(client, INGEST, largest), 400)
    detail = f"The body is larger than {bodies.LARGEST} bytes."
    assert problem(post(client, INGEST, largest + b" "), 413) == detail


@pytest.mark.parametrize("path", [EVENTS, "/v1/stocks/latest", "/market_data/last_price/A"])
def test_a_database_that_is_away_is_named_and_no_more(world: World, path: str) -> None:
    world.memory.error = AWAY
    answer = world.app().test_client().get(path, headers=AUTHORIZED)
    assert problem(answer, 503) == "The database does not answer."
    assert answer.headers["Retry-After"] == "5"


@pytest.mark.parametrize(("path", "body"), [("/ingest/quote", QUOTE), (INGEST, [item({})])])
def test_what_kafka_does_not_take_may_be_sent_again(world: World, path: str, body: Any) -> None:
    world.kafka.room = 0
    answer = post(world.app().test_client(), path, body)
    assert problem(answer, 503) == ingest.UNAVAILABLE
    assert answer.headers["Retry-After"] == "5"


def test_a_stream_without_kafka_says_when_to_come_again(world: World) -> None:
    world.down.add("kafka")
    answer = world.app().test_client().get("/v1/stocks/stream", headers=AUTHORIZED)
    assert problem(answer, 503) == "Kafka does not answer."
    assert answer.headers["Retry-After"] == "5"


def test_where_no_place_is_left_it_is_said(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "MAX_STREAMS", 0)
    monkeypatch.setattr(ingest, "MAX_REQUESTS", 0)
    client = world.app().test_client()
    answer = client.get("/v1/stocks/stream", headers=AUTHORIZED)
    assert problem(answer, 429) == "Too many streams are open."
    assert answer.headers["Retry-After"] == "30"
    answer = post(client, "/ingest/quote", QUOTE)
    assert problem(answer, 429) == "Too many requests wait for Kafka."
    assert answer.headers["Retry-After"] == "1"


def test_a_body_that_ends_too_soon_is_a_problem_too(client: FlaskClient) -> None:
    headers = SENDING | {"Content-Type": "application/json"}
    sent = {"environ_overrides": {"CONTENT_LENGTH": "9999"}, "headers": headers}
    answer = client.post(INGEST, data=json.dumps([item({})]), **sent)
    assert HOW not in problem(answer, 400)


def test_a_path_with_a_slash_too_many_leads_to_the_right_one(client: FlaskClient) -> None:
    answer = client.get("/v1//feeds", headers=AUTHORIZED)
    assert (answer.status_code, answer.headers["Location"]) == (308, "http://localhost/v1/feeds")
