"""The API from outside: who may ask, what is answered, and how it fails."""

import hashlib
import hmac
import json
import re
import threading
from datetime import datetime, timedelta, timezone
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from jsonschema import Draft202012Validator
from services.tests.api.world import (
    AUTHORIZED,
    AWAY,
    SENDING,
    STRANGER,
    TOKENS,
    World,
    document,
    gpu_document,
)
from structlog.testing import capture_logs
from werkzeug.test import TestResponse

from millrace.api import auth, openapi
from millrace.api.auth import Token, load_tokens
from millrace.api.errors import DependencyError
from millrace.api.events import EventsParameters, LatestParameters
from millrace.api.health import FRESH_SECONDS, LONGEST_SECONDS, Health
from millrace.api.pagination import Position, Query, encode
from millrace.api.stream import StreamParameters
from millrace.clients.lag import PartitionLag
from millrace.errors import ConfigurationError
from millrace.feeds import FEEDS
from millrace.serving.problem import LONGEST_DETAIL, MEDIA_TYPE

DOCUMENT = openapi.document(list(FEEDS))


@pytest.fixture
def world() -> World:
    prices = (
        document(n, symbol, feed)
        for n in range(6)
        for symbol in "AB"
        for feed in ("stocks", "quotes")
    )
    world = World(*prices, gpu_document(0))
    # Streams end at once.
    world.stop.set()
    return world


@pytest.fixture
def client(world: World) -> FlaskClient:
    return world.app().test_client()


def check(answer: TestResponse, path: str) -> Any:
    """Compare an answer with what the OpenAPI document says of its route."""
    described = DOCUMENT["paths"][path]["get"]["responses"][str(answer.status_code)]
    (media_type,) = described["content"]
    assert answer.mimetype == media_type
    schema = {**described["content"][media_type]["schema"], "components": DOCUMENT["components"]}
    body = json.loads(answer.data)
    Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(body)
    return body


def problem(answer: TestResponse, status: int) -> str:
    """Check that an answer is a problem document; return its detail, which is a sentence."""
    assert answer.status_code == status
    assert answer.mimetype == MEDIA_TYPE
    body = json.loads(answer.data)
    Draft202012Validator(DOCUMENT["components"]["schemas"]["Problem"]).validate(body)
    assert body["status"] == status
    assert body["title"] == HTTPStatus(status).phrase
    detail = str(body["detail"])
    assert len(detail) == LONGEST_DETAIL or re.fullmatch(r"[A-Z`].*\.", detail), detail
    return detail


def retry_seconds(answer: TestResponse) -> int:
    """When to come again, as clients read it."""
    return int(answer.headers["Retry-After"])


def routes(app: Flask) -> list[tuple[str, str, str]]:
    """Every method and path with its places filled in, and the scope that it needs."""
    return [
        (
            "POST" if "POST" in (rule.methods or ()) else "GET",
            rule.rule.replace("<feed>", "stocks").replace("<path:symbol>", "A"),
            auth.required_scope(app, rule.endpoint),
        )
        for rule in app.url_map.iter_rules()
    ]


def test_every_route_that_is_not_known_to_be_public_needs_a_token(client: FlaskClient) -> None:
    public = {path for _, path, scope in routes(client.application) if scope == auth.PUBLIC}
    assert public == {"/live", "/ready", "/health", "/openapi.json"}
    for method, path, scope in routes(client.application):
        if scope == auth.PUBLIC:
            assert client.open(path, method=method).status_code == HTTPStatus.OK
            continue
        assert (method, scope) in {("GET", auth.READ), ("POST", auth.INGEST)}
        answer = client.open(path, method=method)
        problem(answer, 401)
        assert answer.headers["WWW-Authenticate"] == 'Bearer realm="millrace"'
        other = SENDING if scope == auth.READ else AUTHORIZED
        for headers in ({"Authorization": f"Bearer {STRANGER}"}, other):
            answer = client.open(path, method=method, headers=headers)
            assert scope in problem(answer, 403)
            assert answer.headers["WWW-Authenticate"] == (
                f'Bearer realm="millrace", error="insufficient_scope", scope="{scope}"'
            )
        right = AUTHORIZED if scope == auth.READ else SENDING
        status = client.open(path, method=method, headers=right).status_code
        # What needs a body misses it: the token was good.
        assert status == (HTTPStatus.OK if method == "GET" else HTTPStatus.UNSUPPORTED_MEDIA_TYPE)


def test_a_route_without_a_rule_does_not_start() -> None:
    app = Flask(__name__, static_folder=None)
    app.add_url_rule("/open", "open", lambda: "")
    with pytest.raises(KeyError, match="open"):
        auth.protect(app, [])


@pytest.mark.parametrize("path", ["/live", "/ready", "/health", "/openapi.json", "/v1/feeds"])
@pytest.mark.parametrize(
    "header", ["Bearer wrong", "Bearer", "Bearer ", "Basic cmVhZGVyOng=", "reader-token", ""]
)
def test_a_token_that_is_not_valid_is_refused_everywhere(
    client: FlaskClient, path: str, header: str
) -> None:
    answer = client.get(path, headers={"Authorization": header})
    problem(answer, 401)
    challenge = answer.headers["WWW-Authenticate"]
    invalid = ', error="invalid_token"' if header == "Bearer wrong" else ""
    assert challenge == f'Bearer realm="millrace"{invalid}'


@pytest.mark.parametrize("header", ["bearer reader-token", "BEARER  reader-token "])
def test_a_token_is_taken_however_its_kind_is_written(client: FlaskClient, header: str) -> None:
    assert client.get("/v1/feeds", headers={"Authorization": header}).status_code == HTTPStatus.OK


def test_a_hash_is_not_a_token(client: FlaskClient) -> None:
    stolen = {"Authorization": f"Bearer {TOKENS[0].sha256}"}
    problem(client.get("/v1/feeds", headers=stolen), 401)


def test_tokens_are_read_from_their_file(tmp_path: Any) -> None:
    file = tmp_path / "tokens.json"
    file.write_text('[{"id": "a", "sha256": "00", "scopes": ["read"]}]')
    assert load_tokens(file) == [Token("a", "00", ["read"])]
    file.write_text('[{"id": "a", "token": "clear"}]')
    with pytest.raises(ConfigurationError, match="API tokens in"):
        load_tokens(file)


def test_the_feeds_lead_to_their_events(client: FlaskClient) -> None:
    body = check(client.get("/v1/feeds", headers=AUTHORIZED), "/v1/feeds")
    assert [feed["name"] for feed in body["feeds"]] == [*FEEDS]
    for feed in body["feeds"]:
        for path in (feed["latest"], feed["events"], feed["stream"]):
            assert client.get(path, headers=AUTHORIZED).status_code == HTTPStatus.OK


def test_latest_is_the_newest_event_of_each_symbol(client: FlaskClient) -> None:
    answer = client.get("/v1/stocks/latest", headers=AUTHORIZED)
    body = check(answer, "/v1/{feed}/latest")
    assert [e["event_id"] for e in body["events"]] == ["stocks:test:A:5", "stocks:test:B:5"]
    one = client.get("/v1/stocks/latest?symbol=B", headers=AUTHORIZED)
    assert [e["symbol"] for e in check(one, "/v1/{feed}/latest")["events"]] == ["B"]


@pytest.mark.parametrize(
    ("path", "all_of_it"), [("/v1/stocks/events", 12), ("/v1/stocks/latest", 2), ("/gpu/info", 2)]
)
def test_a_page_that_ends_with_the_last_has_none_behind_it(
    client: FlaskClient, world: World, path: str, all_of_it: int
) -> None:
    world.memory.documents.append(gpu_document(0, index=1))
    for limit, leads_on in ((all_of_it, False), (all_of_it - 1, True)):
        body = client.get(f"{path}?limit={limit}", headers=AUTHORIZED).get_json()
        assert (body["next"] is not None) is leads_on


def test_latest_has_pages(client: FlaskClient, world: World) -> None:
    names = [f"S{number}/é" for number in range(250)]
    world.memory.documents += [document(n, name) for n in (1, 3) for name in names]
    shown: list[str] = []
    sizes: list[int] = []
    cursor: str | None = ""
    while cursor is not None:
        answer = client.get(f"/v1/stocks/latest{cursor}", headers=AUTHORIZED)
        body = check(answer, "/v1/{feed}/latest")
        shown += [event["event_id"] for event in body["events"]]
        sizes.append(len(body["events"]))
        cursor = f"?cursor={body['next']}" if body["next"] else None
    assert sizes == [100, 100, 52]
    newest = {"A": 5, "B": 5, **dict.fromkeys(names, 3)}
    assert shown == [f"stocks:test:{name}:{newest[name]}" for name in sorted(newest)]


@pytest.mark.parametrize("letter", ["\U0001f600", "\x01"])
@pytest.mark.parametrize("path", ["latest", "events"])
def test_the_longest_names_have_pages_too(
    client: FlaskClient, world: World, path: str, letter: str
) -> None:
    names = [first + 199 * letter for first in "XYZ"]
    world.memory.documents[:] = [{**document(0, name), "_id": name} for name in names]
    shown: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        answer = client.get(f"/v1/stocks/{path}?limit=1{cursor}", headers=AUTHORIZED)
        body = check(answer, f"/v1/{{feed}}/{path}")
        shown += [event["symbol"] for event in body["events"]]
        cursor = f"&cursor={body['next']}" if body["next"] else None
    assert sorted(shown) == names


def test_a_cursor_with_a_time_that_there_is_not_in_utc_is_a_problem(client: FlaskClient) -> None:
    early = datetime.min.replace(tzinfo=timezone(timedelta(hours=14)))
    cursor = encode(Query(feed="stocks"), Position(early, "a"))
    answer = client.get(f"/v1/stocks/events?cursor={cursor}", headers=AUTHORIZED)
    assert "not one that this API has made" in problem(answer, 400)


def test_a_cursor_of_latest_is_good_for_it_alone(client: FlaskClient) -> None:
    first = client.get("/v1/stocks/latest?limit=1", headers=AUTHORIZED).get_json()
    for path in ("/v1/quotes/latest", "/v1/stocks/events"):
        answer = client.get(f"{path}?cursor={first['next']}", headers=AUTHORIZED)
        assert "other parameters" in problem(answer, 400)
    answer = client.get(f"/v1/stocks/latest?symbol=A&cursor={first['next']}", headers=AUTHORIZED)
    assert "next page" in problem(answer, 400)
    events = client.get("/v1/stocks/events?limit=1", headers=AUTHORIZED).get_json()
    answer = client.get(f"/v1/stocks/latest?cursor={events['next']}", headers=AUTHORIZED)
    assert "other parameters" in problem(answer, 400)


def test_an_event_is_shown_without_its_place_in_kafka(client: FlaskClient) -> None:
    body = check(client.get("/v1/stocks/events?limit=1", headers=AUTHORIZED), "/v1/{feed}/events")
    (event,) = body["events"]
    assert event == {
        "event_id": "stocks:test:B:5",
        "schema_version": 1,
        "feed": "stocks",
        "symbol": "B",
        "price": {"value": 1.5, "currency": "USD"},
        "source": "test",
        "simulated": True,
        "timestamp_utc": "2024-01-01T00:05:00Z",
        "produced_at": "2024-01-01T00:05:00Z",
        "meta": {"change_pct": None},
    }


def events(client: FlaskClient, query: str) -> list[str]:
    body = check(client.get(f"/v1/stocks/events?{query}", headers=AUTHORIZED), "/v1/{feed}/events")
    return [event["event_id"].removeprefix("stocks:test:") for event in body["events"]]


def test_events_are_filtered(client: FlaskClient, world: World) -> None:
    world.memory.documents.append(document(9, "C", source="other"))
    assert events(client, "symbol=A&limit=2") == ["A:5", "A:4"]
    assert events(client, "source=other") == ["C:9"]
    assert events(client, "order=oldest&limit=3") == ["A:0", "B:0", "A:1"]
    # `from` is part of the range, `to` is not; times are compared, not texts.
    between = "symbol=A&from=2024-01-01T00:02:00Z&to=2024-01-01T01:04:00%2B01:00"
    assert events(client, between) == ["A:3", "A:2"]
    assert events(client, "symbol=nobody") == []
    moment = "2024-01-01T00:03:00Z"
    assert events(client, f"symbol=A&from={moment}&to={moment}") == []


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=ten", "limit"),
        ("order=up", "order"),
        ("symbol=", "symbol"),
        ("symbol=" + "x" * 201, "symbol"),
        ("symbol=A&symbol=B", "symbol is given more than once"),
        ("symbol[$ne]=A", "unknown field `symbol[$ne]`"),
        ("from=yesterday", "from"),
        ("from=2024-01-01T00:00:00", "offset from UTC"),
        ("to=0001-01-01T00:00:00%2B10:00", "to"),
        ("to=null", "to"),
        ("from=12", "from"),
        ("limit=99999999999999999999", "limit"),
        ("cursor=bogus", "cursor"),
        ("cursor=bm90anNvbg", "cursor"),
        ("cursor=%C3%A9", "cursor"),
        ("offset=5", "unknown field `offset`"),
        (
            "from=2024-01-01T00:03:00.001Z&to=2024-01-01T01:03:00%2B01:00",
            "The time in `from` is after the one in `to`.",
        ),
    ],
)
def test_a_parameter_that_is_not_understood_is_a_problem_that_names_it(
    client: FlaskClient, query: str, detail: str
) -> None:
    answer = client.get(f"/v1/stocks/events?{query}", headers=AUTHORIZED)
    assert detail in problem(answer, 400)


def test_a_cursor_is_good_for_its_own_query_only(client: FlaskClient) -> None:
    first = client.get("/v1/stocks/events?limit=2&symbol=A", headers=AUTHORIZED).get_json()
    for other in ("symbol=B", "symbol=A&order=oldest", "symbol=A&from=2020-01-01T00:00:00Z", ""):
        path = f"/v1/stocks/events?{other}&cursor={first['next']}"
        assert "other parameters" in problem(client.get(path, headers=AUTHORIZED), 400)
    path = f"/v1/metals/events?symbol=A&cursor={first['next']}"
    problem(client.get(path, headers=AUTHORIZED), 400)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/v1/nothing/events", 404),
        ("GET", "/v1/stocks/events/", 404),
        ("POST", "/v1/feeds", 405),
        ("DELETE", "/v1/stocks/events", 405),
        ("OPTIONS", "/v1/feeds", 405),
    ],
)
def test_what_is_not_there_is_a_problem_too(
    client: FlaskClient, method: str, path: str, status: int
) -> None:
    answer = client.open(path, method=method, headers=AUTHORIZED)
    problem(answer, status)
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        assert answer.headers["Allow"] == "GET, HEAD"


def test_a_request_with_a_body_is_refused(client: FlaskClient) -> None:
    problem(client.get("/v1/feeds", headers=AUTHORIZED, data=b"x"), 413)
    chunked = {**AUTHORIZED, "Transfer-Encoding": "chunked"}
    problem(client.get("/v1/feeds", headers=chunked), 413)


@pytest.mark.parametrize("path", ["/v1/stocks/latest", "/v1/stocks/events"])
def test_without_its_database_the_api_says_so_and_no_more(
    client: FlaskClient, world: World, path: str
) -> None:
    world.memory.error = AWAY
    answer = client.get(path, headers=AUTHORIZED)
    assert problem(answer, 503) == "The database does not answer."
    assert retry_seconds(answer) > 0
    check(answer, path.replace("stocks", "{feed}"))


def test_a_fault_of_ours_reveals_nothing(client: FlaskClient, world: World) -> None:
    world.memory.error = RuntimeError("secret detail")
    answer = client.get("/v1/stocks/latest", headers=AUTHORIZED)
    assert problem(answer, 500) == "The error is in the log of the API."


@pytest.mark.parametrize("path", ["/live", "/health", "/v1/feeds", "/nothing"])
def test_every_answer_has_the_security_headers(client: FlaskClient, path: str) -> None:
    headers = client.get(path).headers
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert headers["Strict-Transport-Security"]
    assert headers.get_all("X-Frame-Options") == ["DENY"]


def test_health_says_one_word_a_dependency(client: FlaskClient) -> None:
    body = check(client.get("/health"), "/health")
    assert body == {
        "status": "ok",
        "checks": {
            "mongodb": {"status": "ok"},
            "kafka": {"status": "ok"},
            "redis": {"status": "ok"},
            "processor": {"status": "ok"},
        },
        "mongodb_status": "OK",
        "redis_status": "OK",
    }


def test_health_says_more_to_those_with_a_token(client: FlaskClient) -> None:
    body = check(client.get("/health", headers=AUTHORIZED), "/health")
    assert body["checks"]["kafka"]["lag"] == 4
    assert body["checks"]["kafka"]["dead_letters"] == 2
    assert body["checks"]["kafka"]["partitions"][0] == {
        "topic": "stock-data",
        "partition": 0,
        "end": 12,
        "lag": 3,
        "held": True,
        "log": None,
    }
    assert body["checks"]["mongodb"]["latency_ms"] >= 0
    stranger = {"Authorization": f"Bearer {STRANGER}"}
    assert "lag" not in client.get("/health", headers=stranger).get_json()["checks"]["kafka"]


@pytest.mark.parametrize("down", ["mongodb", "kafka"])
def test_health_is_503_without_a_dependency(client: FlaskClient, world: World, down: str) -> None:
    world.down.add(down)
    for headers in ({}, AUTHORIZED):
        answer = client.get("/health", headers=headers)
        assert answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE
        body = check(answer, "/health")
        assert body["status"] == "unavailable"
        assert body["checks"][down] == {"status": "unavailable"}
        assert body["mongodb_status"] == ("FAIL" if down == "mongodb" else "OK")
        assert "secret" not in answer.text
    assert client.get("/live").status_code == HTTPStatus.OK


def test_health_is_good_without_redis_and_says_so(client: FlaskClient, world: World) -> None:
    assert world.redis
    world.redis.broken = True
    answer = client.get("/health")
    assert answer.status_code == HTTPStatus.OK
    body = check(answer, "/health")
    assert (body["status"], body["redis_status"]) == ("ok", "FAIL")
    assert body["checks"]["redis"] == {"status": "unavailable"}


def test_health_does_not_speak_of_a_redis_that_is_not_there(
    client: FlaskClient, world: World
) -> None:
    world.redis = None
    body = check(client.get("/health"), "/health")
    assert body["checks"].keys() == {"mongodb", "kafka", "processor"}
    assert "redis_status" not in body


@pytest.mark.parametrize(("late", "unknown"), [("mongodb", []), ("kafka", ["processor"])])
def test_health_is_told_while_a_dependency_lets_somebody_wait(
    world: World, monkeypatch: pytest.MonkeyPatch, late: str, unknown: list[str]
) -> None:
    now = 0.0
    health = Health(world.dependencies, clock=lambda: now)
    found = health.checks()
    asked, answers = threading.Event(), threading.Event()

    def ask() -> None:
        asked.set()
        assert answers.wait(10)
        raise DependencyError("late")

    monkeypatch.setattr(world, f"ask_{late}", ask)
    now += FRESH_SECONDS + 0.1
    who_waits = threading.Thread(target=health.checks)
    who_waits.start()
    try:
        assert asked.wait(10)
        assert health.checks() == found
        now = LONGEST_SECONDS + 0.1
        unwell = {name: {"status": "unavailable"} for name in [late, *unknown]}
        assert health.checks() == {**found, **unwell}
    finally:
        answers.set()
        who_waits.join()
    assert health.checks() == {**found, **unwell}


def test_health_names_what_nobody_reads_and_the_api_is_ready_all_the_same(
    client: FlaskClient, world: World
) -> None:
    world.lag.append(PartitionLag("quotes", 2, 8, 8, held=False))
    answer = client.get("/health", headers=AUTHORIZED)
    assert answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE
    body = check(answer, "/health")
    assert body["status"] == "unavailable"
    assert body["checks"]["processor"] == {
        "status": "unavailable",
        "problem": "nobody reads quotes/2",
    }
    answer = client.get("/health")
    assert check(answer, "/health")["checks"]["processor"] == {"status": "unavailable"}
    answer = client.get("/ready")
    assert answer.status_code == HTTPStatus.OK
    assert check(answer, "/ready")["status"] == "ok"


@pytest.mark.parametrize("down", ["mongodb", "kafka"])
def test_the_api_is_not_ready_without_what_it_answers_from(
    client: FlaskClient, world: World, down: str
) -> None:
    world.down.add(down)
    answer = client.get("/ready")
    assert answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE
    assert check(answer, "/ready")["checks"][down] == {"status": "unavailable"}


def test_lag_that_grows_while_nothing_is_stored_is_not_well(world: World) -> None:
    now = 0
    health = Health(world.dependencies, clock=lambda: float(now))
    for now in range(0, 61, 5):
        world.lag = [PartitionLag("stock-data", 0, 12 + now, 3 + now)]
        found = health.checks()["processor"]
    assert found == {
        "status": "unavailable",
        "problem": "stock-data/0 stood still for 60 s with 63 records to store",
    }
    now = 65
    world.lag = [PartitionLag("stock-data", 0, 80, 3)]
    assert health.checks()["processor"] == {"status": "ok"}


def test_health_says_how_long_a_dependency_took(world: World) -> None:
    now = iter(number * 0.0012345678 for number in range(100))
    found = Health(world.dependencies, clock=lambda: next(now)).checks()
    assert [found[name]["latency_ms"] for name in ("mongodb", "kafka", "redis")] == [1.235] * 3


@pytest.mark.parametrize("down", ["mongodb", "kafka", "redis"])
def test_which_dependency_does_not_answer_is_in_the_log(world: World, down: str) -> None:
    world.down.add(down)
    assert world.redis
    world.redis.broken = down == "redis"
    with capture_logs() as logged:
        Health(world.dependencies).checks()
    assert [(line["dependency"], line["reason"]) for line in logged] == [(down, "secret reason")]


def test_who_asks_first_waits_for_what_is_found(world: World) -> None:
    """Of nothing that was looked at all would be well."""
    health = Health(world.dependencies)
    asked, answers = threading.Event(), threading.Event()

    def ask() -> None:
        asked.set()
        assert answers.wait(10)

    world.ask_mongodb = ask  # type: ignore[method-assign]
    found: list[Any] = []
    threads = [threading.Thread(target=lambda: found.append(health.checks())) for _ in range(2)]
    threads[0].start()
    assert asked.wait(10)
    threads[1].start()
    threads[1].join(0.05)
    answers.set()
    for thread in threads:
        thread.join()
    assert [one.keys() for one in found] == [{"mongodb", "kafka", "redis", "processor"}] * 2


def test_health_checks_are_no_load(world: World) -> None:
    now = 0.0
    health = Health(world.dependencies, clock=lambda: now)
    for _ in range(5):
        health.checks()
    now = FRESH_SECONDS
    health.checks()
    assert world.asked == 1
    now = 1.5
    health.checks()
    assert world.asked == 2


def test_the_openapi_document_describes_every_route(client: FlaskClient) -> None:
    body = check(client.get("/openapi.json"), "/openapi.json")
    for path, methods in body["paths"].items():
        names = set(re.findall("{(.*?)}", path))
        (operation,) = methods.values()
        assert {p["name"] for p in operation["parameters"] if p["in"] == "path"} == names
    described = {
        (method.upper(), path) for path, methods in body["paths"].items() for method in methods
    }
    served = {
        (
            "POST" if "POST" in (rule.methods or ()) else "GET",
            re.sub("<(?:path:)?(.*?)>", r"{\1}", rule.rule),
        )
        for rule in client.application.url_map.iter_rules()
    }
    assert described == served


def test_the_openapi_document_that_is_served_is_the_one_that_is_published(
    client: FlaskClient,
) -> None:
    """Where every feed is served. What changes for clients is seen in its file."""
    published = json.loads((Path(__file__).parents[3] / "docs" / "openapi.json").read_text())
    answer = client.get("/openapi.json")
    assert answer.mimetype == "application/json"
    assert answer.get_json() == published


def test_the_openapi_document_has_what_is_served_and_no_more() -> None:
    body = openapi.document(["stocks"])
    assert "/ingest/quote" not in body["paths"]
    (feed,) = body["paths"]["/v1/ingest/{feed}"]["post"]["parameters"]
    assert feed["schema"]["enum"] == ["stocks"]
    kinds = body["components"]["schemas"]["Items"]["items"]["anyOf"]
    assert [kind["title"] for kind in kinds if "title" in kind] == ["stocks"]


def test_the_openapi_document_describes_every_parameter() -> None:
    for path, kind in (
        ("events", EventsParameters),
        ("latest", LatestParameters),
        ("stream", StreamParameters),
    ):
        described = DOCUMENT["paths"][f"/v1/{{feed}}/{path}"]["get"]["parameters"]
        names = {p["name"] for p in described if p["in"] == "query"}
        assert names == set(kind.__struct_encode_fields__)


def test_the_openapi_document_refers_to_schemas_that_exist() -> None:
    references = re.findall(r'"#/components/schemas/(\w+)"', json.dumps(DOCUMENT))
    assert "Batch" in references
    for reference in references:
        Draft202012Validator.check_schema(DOCUMENT["components"]["schemas"][reference])


@pytest.mark.parametrize("token", ["reader-token", "not a token"])
def test_every_token_is_compared_in_constant_time(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    compared: list[str] = []
    compare = hmac.compare_digest

    def seen(known: str, presented: str) -> bool:
        assert presented == hashlib.sha256(token.encode()).hexdigest()
        compared.append(known)
        return compare(known, presented)

    monkeypatch.setattr(hmac, "compare_digest", seen)
    client.get("/v1/stocks/events", headers={"Authorization": f"Bearer {token}"})
    assert compared == [one.sha256 for one in TOKENS]
