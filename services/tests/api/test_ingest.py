"""Ingestion from outside: nothing is accepted that Kafka has not acknowledged."""

import json
import threading
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from flask.testing import FlaskClient
from jsonschema import Draft202012Validator
from services.tests.api.test_api import DOCUMENT, problem, retry_seconds
from services.tests.api.test_items import item
from services.tests.api.world import AUTHORIZED, SENDING, World
from werkzeug.test import TestResponse

from millrace.api import bodies, ingest
from millrace.api.reading import MAX_ITEMS
from millrace.events import Event
from millrace.feeds import FEEDS
from millrace.serving.problem import LONGEST_DETAIL

QUOTE = {"symbol": "AAPL", "price": 187.5, "volume": 300, "timestamp": "2026-01-02T15:00:00Z"}


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def client(world: World) -> FlaskClient:
    return world.app().test_client()


def post(client: FlaskClient, path: str, body: Any, **headers: str) -> TestResponse:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"Content-Type": "application/json", **SENDING, **headers}
    return client.post(path, data=data, headers=headers)


def check(answer: TestResponse, status: int, path: str = "/v1/ingest/{feed}") -> Any:
    """Compare a good answer with what the OpenAPI document says of its route."""
    assert answer.status_code == status, answer.text
    described = DOCUMENT["paths"][path]["post"]["responses"][str(status)]
    schema = described["content"][answer.mimetype]["schema"]
    body = json.loads(answer.data)
    Draft202012Validator({**schema, "components": DOCUMENT["components"]}).validate(body)
    return body


@pytest.mark.parametrize("path", ["/ingest/quote", "/v1/ingest/quotes"])
def test_a_query_that_would_not_be_heeded_is_refused(
    client: FlaskClient, world: World, path: str
) -> None:
    answer = post(client, f"{path}?dry_run=true", QUOTE)
    assert answer.status_code == 400
    assert "dry_run" in answer.text
    assert not world.kafka.records


def test_a_quote_is_accepted_when_it_is_acknowledged(client: FlaskClient, world: World) -> None:
    body = check(post(client, "/ingest/quote", QUOTE), 202, "/ingest/quote")
    ((topic, event),) = world.kafka.records
    assert topic == "quotes"
    assert body == {"status": "accepted", "symbol": "AAPL", "event_id": event.event_id}
    assert event.source == "ingest:sender"
    assert (event.price, event.volume, event.currency) == (187.5, 300, "USD")  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ({"symbol": "XYZ.LON"}, "XXX"),
        ({"symbol": "BRK.B"}, "USD"),
        ({"symbol": "XYZ.LON", "currency": "GBX"}, "GBX"),
    ],
)
def test_a_quote_without_a_currency_has_that_of_its_symbol(
    client: FlaskClient, world: World, sent: dict[str, str], stored: str
) -> None:
    check(post(client, "/ingest/quote", QUOTE | sent), 202, "/ingest/quote")
    ((_, event),) = world.kafka.records
    assert event.currency == stored  # type: ignore[attr-defined]


def test_a_quote_that_is_sent_again_is_the_same_event(client: FlaskClient, world: World) -> None:
    for _ in range(2):
        post(client, "/ingest/quote", QUOTE)
    one, other = (event.event_id for _, event in world.kafka.records)
    assert one == other


@pytest.mark.parametrize(
    ("changes", "detail"),
    [
        ({"symbol": 5}, "`symbol`"),
        ({"price": "1,234.5"}, "`price`"),
        ({"price": ...}, "`price`"),
        ({"timestamp": "2026-01-02T15:00:00"}, "`timestamp`"),
        ({"timestamp": "2100-01-02T15:00:00Z"}, "`timestamp` is more than 60 s ahead"),
        ({"extra": 1}, "The body contains unknown field `extra`."),
    ],
)
def test_a_bad_quote_is_a_problem_that_names_the_field(
    client: FlaskClient, world: World, changes: dict[str, Any], detail: str
) -> None:
    body = {name: value for name, value in {**QUOTE, **changes}.items() if value is not ...}
    assert detail in problem(post(client, "/ingest/quote", body), 400)
    assert not world.kafka.records


def test_each_item_of_a_batch_has_its_result(client: FlaskClient, world: World) -> None:
    good = [item({"symbol": symbol}) for symbol in "AB"]
    body = check(post(client, "/v1/ingest/quotes", {"events": good}), 202)
    assert [r["status"] for r in body["results"]] == ["accepted", "accepted"]
    accepted = [event.event_id for _, event in world.kafka.records]
    assert [r["event_id"] for r in body["results"]] == accepted

    mixed = [item({"symbol": "C"}), item({"price": -1}), 5, item({"symbol": "D"})]
    results = check(post(client, "/v1/ingest/quotes", {"events": mixed}), 207)["results"]
    assert [r["status"] for r in results] == ["accepted", "rejected", "rejected", "accepted"]
    assert "`price`" in results[1]["reason"]
    assert [event.symbol for _, event in world.kafka.records[2:]] == ["C", "D"]


def test_what_a_client_sent_is_quoted_in_part_only(client: FlaskClient) -> None:
    name = "x" * 10_000
    (result,) = check(post(client, "/v1/ingest/quotes", {"events": [item({name: 1})]}), 207)[
        "results"
    ]
    assert len(result["reason"]) == LONGEST_DETAIL
    assert len(problem(post(client, "/ingest/quote", {**QUOTE, name: 1}), 400)) == LONGEST_DETAIL
    assert len(problem(post(client, "/v1/ingest/quotes", {name: 1}), 400)) == LONGEST_DETAIL


def test_a_number_beyond_all_bounds_spoils_its_own_item_only(
    client: FlaskClient, world: World
) -> None:
    good = json.dumps(item({})).encode()
    huge = good.replace(b"200.0", b"1e999")
    body = b'{"events": [' + huge + b"," + good + b"]}"
    results = check(post(client, "/v1/ingest/quotes", body), 207)["results"]
    assert [r["status"] for r in results] == ["rejected", "accepted"]
    assert len(world.kafka.records) == 1


@pytest.mark.parametrize("feed", sorted(FEEDS))
def test_every_feed_that_is_served_takes_events(
    client: FlaskClient, world: World, feed: str
) -> None:
    check(post(client, f"/v1/ingest/{feed}", {"events": [item({}, feed)]}), 202)
    assert [event.feed for _, event in world.kafka.records] == [feed]
    problem(post(client, "/v1/ingest/nothing", {"events": [item({}, feed)]}), 404)


@pytest.mark.parametrize(
    ("feed", "sent", "symbol"),
    [
        (
            "gpu_metrics",
            {
                "gpu_index": 0,
                "name": "RTX 3090",
                "utilization": 0.7,
                "mem_used_mb": 9012,
                "mem_total_mb": 24576,
                "power_w": 281.44,
                "price_per_hour_usd": 0.85,
                "ts": "2026-01-02T15:00:00Z",
                "host": "gpu-host",
            },
            "gpu-host/0",
        ),
        (
            "token_usage",
            {
                "ts": "2026-01-02T15:00:00Z",
                "model": "llama",
                "prompt_tokens": 300,
                "completion_tokens": 600,
                "latency_ms": 812,
                "gpu_index": 1,
            },
            "sender/1/llama",
        ),
    ],
)
def test_events_of_the_shape_that_others_send_are_taken(
    client: FlaskClient, world: World, feed: str, sent: dict[str, Any], symbol: str
) -> None:
    """Those of the pipelines that Millrace replaces; docs/decisions/origins.md."""
    described = DOCUMENT["components"]["schemas"]["Items"]["items"]["anyOf"]
    (schema,) = [one for one in described if one.get("title") == feed]
    Draft202012Validator(schema).validate(sent)
    check(post(client, f"/v1/ingest/{feed}", {"events": [sent]}), 202)
    ((_, event),) = world.kafka.records
    assert event.symbol == symbol
    found = json.loads(msgspec.json.encode(event))
    assert found["observed_at"] == sent["ts"]
    assert {name: found[name] for name in sent if name != "ts"} == {
        name: value for name, value in sent.items() if name != "ts"
    }


def test_what_is_not_acknowledged_has_failed(client: FlaskClient, world: World) -> None:
    world.kafka.room = 1
    events = [item({"symbol": symbol}) for symbol in "ABC"]
    results = check(post(client, "/v1/ingest/quotes", {"events": events}), 207)["results"]
    assert [r["status"] for r in results] == ["accepted", "failed", "failed"]
    assert "the same event" in results[1]["reason"]


@pytest.mark.parametrize(
    ("path", "body"), [("/ingest/quote", QUOTE), ("/v1/ingest/quotes", {"events": [item({}), 5]})]
)
def test_without_kafka_nothing_is_accepted(
    client: FlaskClient, world: World, path: str, body: Any
) -> None:
    world.kafka.room = 0
    answer = post(client, path, body)
    assert "secret" not in problem(answer, 503)
    assert retry_seconds(answer) > 0
    assert not world.kafka.records


def test_where_nothing_is_left_to_send_nobody_waits_for_kafka(
    client: FlaskClient, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(World, "log")
    results = check(post(client, "/v1/ingest/quotes", [5]), 207)["results"]
    assert [r["status"] for r in results] == ["rejected"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff",
        b'{"events": NaN}',
        b'{"events": []}',
        b'{"events": {}}',
        b'{"events": [1], "more": 1}',
        b'{"events": ' + b"[" * 100_000,
        json.dumps({"events": [1] * (MAX_ITEMS + 1)}).encode(),
    ],
)
def test_a_body_that_is_no_batch_is_a_problem(client: FlaskClient, body: bytes) -> None:
    problem(post(client, "/v1/ingest/quotes", body), 400)


def test_a_body_has_a_type_and_a_size_that_is_known_and_small(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = "/v1/ingest/quotes"
    problem(post(client, path, {"events": [1]}, **{"Content-Type": "text/plain"}), 415)
    problem(client.post(path, headers=SENDING), 415)

    def fail() -> bytes:
        raise AssertionError("the body is read")

    monkeypatch.setattr(bodies, "read", fail)
    problem(post(client, path, b" " * (bodies.LARGEST + 1)), 413)
    problem(post(client, path, b"{}", **{"Transfer-Encoding": "chunked"}), 411)


def test_as_many_requests_as_may_wait_do(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest, "MAX_REQUESTS", 1)
    app = world.app()
    waiting, go_on = threading.Event(), threading.Event()
    append = world.kafka.append

    def wait(topic: str, events: Sequence[Event]) -> list[bool]:
        waiting.set()
        go_on.wait(10)
        return append(topic, events)

    monkeypatch.setattr(world.kafka, "append", wait)
    answers: list[TestResponse] = []
    thread = threading.Thread(
        target=lambda: answers.append(post(app.test_client(), "/ingest/quote", QUOTE))
    )
    thread.start()
    waiting.wait(10)
    answer = post(app.test_client(), "/ingest/quote", QUOTE)
    problem(answer, 429)
    assert retry_seconds(answer) > 0
    go_on.set()
    thread.join()
    assert answers[0].status_code == 202
    # A place is free again, also after a request that was refused.
    problem(post(app.test_client(), "/ingest/quote", b"{"), 400)
    assert post(app.test_client(), "/ingest/quote", QUOTE).status_code == 202


def test_a_reader_may_not_send_and_a_sender_may_not_read(client: FlaskClient, world: World) -> None:
    problem(post(client, "/ingest/quote", QUOTE, **AUTHORIZED), 403)
    problem(client.get("/v1/quotes/latest", headers=SENDING), 403)
    assert not world.kafka.records
