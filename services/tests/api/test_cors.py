"""Browsers: pages of listed origins may use the API, and others not."""

import pytest
from flask.testing import FlaskClient
from services.tests.api.test_api import problem
from services.tests.api.world import AUTHORIZED, SENDING, World, document
from werkzeug.test import TestResponse

PAGE, OTHER = "https://dashboard.example.org", "http://localhost:3000"
PREFLIGHT = {
    "Access-Control-Request-Method": "GET",
    "Access-Control-Request-Headers": "authorization,last-event-id",
}
STREAM = "/v1/stocks/stream"


@pytest.fixture
def client() -> FlaskClient:
    world = World(document(0))
    world.stop.set()
    return world.app(PAGE, OTHER).test_client()


def granted(answer: TestResponse) -> dict[str, str]:
    """What an answer grants to a page."""
    return {
        name: value
        for name, value in answer.headers.items()
        if name.startswith("Access-Control") or name == "Vary"
    }


@pytest.mark.parametrize("origin", [PAGE, OTHER])
@pytest.mark.parametrize("path", [STREAM, "/v1/feeds", "/v1/ingest/quotes", "/nothing"])
def test_a_listed_page_is_told_what_it_may_send(
    client: FlaskClient, path: str, origin: str
) -> None:
    """A browser asks so, without the token, before it sends one."""
    answer = client.options(path, headers={"Origin": origin, **PREFLIGHT})
    assert answer.status_code == 204
    assert not answer.data
    found = granted(answer)
    assert found["Access-Control-Allow-Origin"] == origin
    assert found["Vary"] == "Origin"
    allowed = found["Access-Control-Allow-Headers"].lower().split(", ")
    assert {"authorization", "content-type", "last-event-id"} == {*allowed}
    assert found["Access-Control-Allow-Methods"].split(", ") == ["GET", "HEAD", "POST"]
    assert "Access-Control-Allow-Credentials" not in found


def test_a_listed_page_reads_answers_problems_too(client: FlaskClient) -> None:
    headers = {"Origin": PAGE}
    expected = {
        "Access-Control-Allow-Origin": PAGE,
        "Access-Control-Expose-Headers": "Retry-After",
        "Vary": "Origin",
    }
    for path in (STREAM, "/v1/feeds"):
        good = client.get(path, headers={**headers, **AUTHORIZED})
        assert (good.status_code, granted(good)) == (200, expected)
    for path, token, status in (
        (STREAM, {}, 401),
        (STREAM, SENDING, 403),
        (f"{STREAM}?x=1", AUTHORIZED, 400),
        ("/nothing", AUTHORIZED, 404),
    ):
        answer = client.get(path, headers={**headers, **token})
        problem(answer, status)
        assert granted(answer) == expected


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", f"{PAGE}.evil.example", f"{PAGE}:444", PAGE.upper(), "null", "*", ""],
)
def test_any_other_page_is_granted_nothing(client: FlaskClient, origin: str) -> None:
    asked = client.options(STREAM, headers={"Origin": origin, **PREFLIGHT})
    problem(asked, 405)
    assert granted(asked) == {"Vary": "Origin"}
    assert granted(client.get("/live", headers={"Origin": origin})) == {"Vary": "Origin"}


def test_a_request_for_options_that_no_browser_makes_is_refused(client: FlaskClient) -> None:
    for headers in ({"Origin": PAGE}, PREFLIGHT):
        problem(client.options(STREAM, headers=headers), 405)


def test_where_no_origin_is_listed_nothing_is_granted() -> None:
    client = World().app().test_client()
    asked = client.options(STREAM, headers={"Origin": PAGE, **PREFLIGHT})
    problem(asked, 405)
    for answer in (asked, client.get("/live", headers={"Origin": PAGE})):
        assert granted(answer) == {}


@pytest.mark.parametrize("query", ["?access_token=reader-token", "?token=reader-token"])
def test_a_token_in_a_url_opens_nothing(client: FlaskClient, query: str) -> None:
    problem(client.get(f"{STREAM}{query}"), 401)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_no_proxy_on_the_way_holds_a_stream_back(client: FlaskClient, method: str) -> None:
    headers = client.open(STREAM, method=method, headers=AUTHORIZED).headers
    assert headers["X-Accel-Buffering"] == "no"
    assert headers.get_all("Cache-Control") == ["no-store, no-transform"]
    assert headers["X-Content-Type-Options"] == "nosniff"
