"""Nothing is served without a login, whatever is asked for."""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

import pytest
from services.tests.dashboard.test_login import HASH
from starlette.types import Message, Receive, Scope, Send

from millrace.dashboard import gate
from millrace.dashboard.gate import COOKIE, Gate
from millrace.dashboard.login import Door, Sessions

SITE = "dashboard:8501"
FORM = [("content-type", "application/x-www-form-urlencoded")]


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: str


async def inner(scope: Scope, receive: Receive, send: Send) -> None:
    """What is behind the gate."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"secret numbers"})


class Site:
    def __init__(self) -> None:
        self.gate = Gate(inner, Door(HASH), Sessions())

    def ask(
        self,
        path: str,
        *headers: tuple[str, str],
        method: str = "GET",
        body: Sequence[bytes] = (b"",),
        kind: str = "http",
    ) -> Answer:
        plain, _, query = path.partition("?")
        given = [("host", SITE), *headers]
        scope = {
            "type": kind,
            "method": method,
            "path": plain,
            "raw_path": plain.encode(),
            "query_string": query.encode(),
            "headers": [(name.encode(), value.encode()) for name, value in given],
            "scheme": "https",
            "server": ("dashboard", 8501),
            "client": ("192.0.2.1", 4321),
        }
        sent: list[Message] = []
        parts = [
            {"type": "http.request", "body": part, "more_body": number < len(body) - 1}
            for number, part in enumerate(body)
        ]

        async def receive() -> Message:
            if parts:
                return parts.pop(0)
            await asyncio.sleep(3600)
            raise AssertionError("unreachable")

        async def send(message: Message) -> None:
            sent.append(message)

        asyncio.run(self.gate(scope, receive, send))
        if kind == "websocket":
            return Answer(sent[0].get("code", 0), {}, sent[0]["type"])
        found = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        text = b"".join(message.get("body", b"") for message in sent[1:]).decode()
        return Answer(sent[0]["status"], found, text)

    def log_in(self, password: str = "open sesame", to: str = "/") -> Answer:
        body = f"next={to}&password={password}".encode()
        return self.ask("/login", *FORM, method="POST", body=[body])

    def session(self) -> tuple[str, str]:
        cookie = self.log_in().headers["set-cookie"]
        return ("cookie", cookie.partition(";")[0])


@pytest.fixture
def site() -> Site:
    return Site()


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"])
@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/market",
        "/static/js/index.js",
        "/media/abc.csv",
        "/_stcore/stream",
        "/_stcore/host-config",
        "/_stcore/metrics",
        "/_stcore/upload_file/a/b",
        "/_stcore/health/../../market",
        "/login/market",
        "//login",
    ],
)
def test_without_a_login_there_is_nothing(site: Site, method: str, path: str) -> None:
    for forged in ("", f"{COOKIE}=", f"{COOKIE}=forged"):
        answer = site.ask(path, ("cookie", forged), method=method)
        assert answer.status == 401
        assert "secret" not in answer.body


def test_a_websocket_without_a_login_is_closed(site: Site) -> None:
    assert site.ask("/_stcore/stream", kind="websocket") == (4401, {}, "websocket.close")
    opened = site.ask("/_stcore/stream", site.session(), kind="websocket")
    assert opened.body == "websocket.accept"


def test_a_person_who_asks_for_a_page_gets_the_form_and_then_the_page(site: Site) -> None:
    page = "/market?symbols=IBM&tz=UTC"
    asked = site.ask(page, ("accept", "text/html,*/*"))
    assert asked.status == 303
    form = site.ask(asked.headers["location"])
    assert form.status == 200
    assert 'value="/market?symbols=IBM&amp;tz=UTC"' in form.body
    assert '<label for="password">' in form.body
    done = site.log_in(to="/market%3Fsymbols=IBM%26tz=UTC")
    assert (done.status, done.headers["location"]) == (303, page)
    cookie = done.headers["set-cookie"].lower()
    assert all(word in cookie for word in ("secure", "httponly", "samesite=lax", "path=/"))
    assert "domain" not in cookie
    assert site.ask(page, site.session()).body == "secret numbers"


def test_a_wrong_password_is_refused_and_then_has_to_wait(site: Site) -> None:
    for _ in range(3):
        answer = site.log_in("wrong")
        assert answer.status == 401
        assert 'role="alert"' in answer.body
        assert "set-cookie" not in answer.headers
    answer = site.log_in()
    assert answer.status == 429
    assert int(answer.headers["retry-after"]) >= 1


def test_logging_out_ends_the_session(site: Site) -> None:
    session = site.session()
    assert site.ask("/logout", session).status == 303
    assert site.ask("/", session).status == 401


def test_a_form_of_another_site_is_refused(site: Site) -> None:
    good = b"password=open sesame"
    for origin, status in (("https://example.org", 403), ("null", 403), (f"https://{SITE}", 303)):
        answer = site.ask("/login", *FORM, ("origin", origin), method="POST", body=[good])
        assert answer.status == status


@pytest.mark.parametrize(
    "body", [[b"x" * 5000], [b"x" * 3000, b"x" * 3000], [b"\xff"], [b"&" * 90]]
)
def test_what_is_no_form_is_refused(site: Site, body: list[bytes]) -> None:
    assert site.ask("/login", *FORM, method="POST", body=body).status in (400, 401)
    assert site.ask("/login", method="PUT").status == 405


def test_a_form_that_does_not_come_is_not_waited_for(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "BODY_SECONDS", 0.05)
    assert site.ask("/login", *FORM, method="POST", body=[]).status == 400


def test_attempts_that_wait_are_few(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "MOST_WAITING", 0)
    assert site.log_in().status == 429


def test_the_form_and_the_pages_say_how_browsers_may_use_them(site: Site) -> None:
    for answer in (site.ask("/login"), site.ask("/", site.session()), site.ask("/")):
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["x-content-type-options"] == "nosniff"
    policy = site.ask("/login").headers["content-security-policy"]
    assert "default-src 'none'" in policy


def test_only_the_health_is_open(site: Site) -> None:
    assert site.ask("/_stcore/health").status == 200
    assert site.ask("/_stcore/health", method="POST").status == 401


def test_a_link_cannot_put_text_into_the_form(site: Site) -> None:
    answer = site.ask("/login?next=/%22%3E%3Cscript%3E")
    assert "<script>" not in answer.body
