"""One request: what it brings, and that it ends, whatever the other side does."""

import itertools
import re
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from requests.structures import CaseInsensitiveDict
from services.tests.broker import certificate
from services.tests.sources.raw import Raw, dribble

from millrace.producer import HUNG_SECONDS
from millrace.sources import asking, http
from millrace.sources.asking import DAY, HOUR, SHORTEST_WAIT, Answer, ask, wait_asked
from millrace.sources.base import Auth, Permanent, Quota, SourceError, Transient
from millrace.sources.http import Client, Upstream, decode

MOST = 1000
NOW = datetime(2026, 1, 2, 15, tzinfo=UTC)
Start = Callable[..., Raw]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts servers; they are stopped at the end."""
    servers: list[Raw] = []

    def make(parts: Iterable[bytes], context: ssl.SSLContext | None = None) -> Raw:
        servers.append(Raw(parts, context))
        return servers[-1]

    yield make
    for server in servers:
        server.close()


def answer(body: bytes, *headers: bytes, status: bytes = b"200 OK") -> bytes:
    length = b"Content-Length: %d" % len(body)
    return b"\r\n".join([b"HTTP/1.1 " + status, length, *headers, b"", body])


def test_an_answer_is_whole(start: Start) -> None:
    whole = answer(b"{}", b"X-Name: value", status=b"404 Not Found")
    got = ask(start([whole[:9], whole[9:]]).url, most=MOST)
    assert (got.status, got.headers["x-name"], got.body) == (404, "value", b"{}")


@pytest.mark.parametrize(
    ("beginning", "part"),
    [
        pytest.param(b"HTTP/1.1 200", b"0", id="status"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX-Long: ", b"x", id="a header"),
        pytest.param(b"HTTP/1.1 200 OK\r\n", b"X-Next: x\r\n", id="headers"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", b" ", id="body"),
        pytest.param(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", b" ", id="endless body"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"0", id="length of a chunk"
        ),
        pytest.param(
            b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 100000\r\n\r\n",
            b" ",
            id="body of a redirect",
        ),
    ],
)
def test_an_answer_that_dribbles_is_cut_off(start: Start, beginning: bytes, part: bytes) -> None:
    began = time.monotonic()
    with pytest.raises(Transient, match="no whole answer within"):
        ask(start(dribble(beginning, part)).url, most=10**6, seconds=0.2)
    assert time.monotonic() - began < 2


def test_the_watchdog_waits_longer_than_any_answer() -> None:
    assert 2 * asking.SECONDS < HUNG_SECONDS


def test_an_answer_over_tls_is_cut_off_too(start: Start, tmp_path: Path) -> None:
    pem = str(certificate(tmp_path, "localhost"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    assert ask(start([answer(b"{}")], context).url, most=MOST, verify=pem).body == b"{}"
    began = time.monotonic()
    address = start(dribble(b"HTTP/1.1 200 OK\r\n"), context).url
    with pytest.raises(Transient, match="no whole answer within"):
        ask(address, most=MOST, verify=pem, seconds=0.2)
    assert time.monotonic() - began < 2


@pytest.mark.parametrize(
    ("name", "trusted"), [("localhost", "another"), ("localhost", "public"), ("elsewhere", "own")]
)
def test_a_key_goes_to_nobody_with_a_certificate_of_somebody_else(
    start: Start, tmp_path: Path, name: str, trusted: str
) -> None:
    own = certificate(tmp_path, name)
    (tmp_path / "another").mkdir()
    authority = {"own": own, "another": certificate(tmp_path / "another", name), "public": None}
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own)
    server = start([answer(b"{}")], context)
    upstream = Upstream(server.url, "k3y", authority[trusted], simulated=False)
    with pytest.raises(Transient, match=r"certificate verify failed|doesn.t match"):
        Client(upstream).get("/", {}, "apikey")
    assert not server.sent


def test_a_server_is_trusted_by_the_authority_that_is_named(start: Start, tmp_path: Path) -> None:
    pem = certificate(tmp_path, "localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    upstream = Upstream(start([answer(b"{}")], context).url, "simulator", pem, simulated=True)
    assert Client(upstream).get("/", {}, "apikey").body == {}


def test_no_more_is_read_than_asked_for(start: Start) -> None:
    server = start(dribble(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", b"x" * 100))
    assert ask(server.url, most=MOST).body == b"x" * (MOST + 1)


def test_of_a_redirect_no_more_is_read_and_nobody_follows(start: Start) -> None:
    head = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nConnection: close\r\n\r\n"
    server = start(dribble(head, b"x" * 100))
    got = ask(server.url, most=MOST)
    assert (got.status, len(got.body)) == (302, MOST + 1)


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param([], id="nothing"),
        pytest.param([b"no HTTP\r\n\r\n"], id="no HTTP"),
        pytest.param([b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"], id="less than promised"),
        pytest.param([b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n"], id="many headers"),
        pytest.param([b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000], id="a long header"),
        pytest.param(
            [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"], id="no chunk"
        ),
        pytest.param([answer(b"no gzip", b"Content-Encoding: gzip")], id="no gzip"),
        pytest.param([answer(b"x", b"Content-Encoding: " + b"gzip, " * 30)], id="much gzip"),
    ],
)
def test_what_is_no_answer_is_one_error(start: Start, parts: list[bytes]) -> None:
    with pytest.raises(Transient) as caught:
        ask(start(parts).url + "/?apikey=k3y", most=MOST)
    assert "k3y" not in str(caught.value)
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1", "http://[", "nothing", "http://\ud800/", "http://a..b/"]
)
def test_a_url_that_answers_nothing_is_one_error(url: str) -> None:
    with pytest.raises(Transient, match="no answer"):
        ask(url, most=MOST)


def test_who_cannot_be_reached_is_said_in_the_systems_words() -> None:
    with pytest.raises(Transient) as caught:
        ask("http://127.0.0.1:1", most=MOST)
    assert re.fullmatch(r"no answer: [^<>]*\[Errno \d+\] Connection refused", str(caught.value))


def test_a_request_is_bounded_and_goes_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, object] = {}

    def get(_session: object, url: str, **options: object) -> None:
        asked.update(options, url=url)
        raise requests.ConnectionError

    monkeypatch.setattr(asking._Session, "get", get)
    with pytest.raises(Transient, match=r"^no answer: ConnectionError$"):
        ask("https://a/b", most=MOST, params={"c": "d"}, headers={"E": "f"}, verify="ca.pem")
    assert asked == {
        "url": "https://a/b",
        "params": {"c": "d"},
        "headers": {"E": "f"},
        "verify": "ca.pem",
        "timeout": (3.0, 7.0),
        "allow_redirects": False,
        "stream": True,
    }
    with pytest.raises(Transient):
        ask("https://a/b", most=MOST)
    assert asked["verify"] is True
    assert asked["params"] is asked["headers"] is None


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (TimeoutError(), "TimeoutError"),
        (ValueError("of https://a/?apikey=k3y"), "ValueError"),
        (requests.ConnectionError(SimpleNamespace(reason="refused\nthere")), "refused there"),
    ],
)
def test_the_reason_is_the_innermost_or_the_kind(error: Exception, reason: str) -> None:
    assert asking._reason(error) == reason


def test_what_is_broken_says_how(start: Start) -> None:
    with pytest.raises(Transient, match=r"^broken answer: DecodeError$"):
        ask(start([answer(b"no gzip", b"Content-Encoding: gzip")]).url, most=MOST)


def test_what_connects_after_the_time_is_cut_off_at_once() -> None:
    here, there = socket.socketpair()
    closed = socket.socket()
    closed.close()
    deadline = asking._Deadline(60)
    deadline.watch(closed)
    deadline.watch(here)
    deadline._cut()
    assert deadline.is_over is True
    assert there.recv(1) == b""
    late, other = socket.socketpair()
    deadline.watch(late)
    assert other.recv(1) == b""
    for end in (here, there, late, other):
        end.close()
    assert deadline._timer.daemon is True


@pytest.mark.parametrize(
    ("said", "wait"),
    [
        ("30", timedelta(seconds=30)),
        (" 030 ", timedelta(seconds=30)),
        ("9" * 5000, DAY),
        ("0" * 5000 + "30", timedelta(seconds=30)),
        ("Fri, 02 Jan 2026 15:01:00 GMT", timedelta(minutes=1)),
        ("Fri, 02 Jan 2026 14:00:00 GMT", SHORTEST_WAIT),
        ("0", SHORTEST_WAIT),
        ("Fri, 31 Dec 9999 23:59:59 GMT", DAY),
        ("Fri, 02 Jan 2026 15:01:00 -0000", timedelta(minutes=1)),
        ("Fri, 02 Jan 2026 17:01:00 +0200", timedelta(minutes=1)),
        ("Friday, 02-Jan-26 15:01:00 GMT", timedelta(minutes=1)),
        ("Fri Jan  2 15:01:00 2026", timedelta(minutes=1)),
        ("-1", HOUR),
        ("+5", HOUR),
        ("1.5", HOUR),
        ("1e3", HOUR),
        ("30, 60", HOUR),
        ("120s", HOUR),
        ("2026-01-02T15:01:00Z", HOUR),
        ("\u00b2", HOUR),
        ("\u0663", HOUR),
        ("soon", HOUR),
        ("", HOUR),
    ],
)
def test_a_wait_is_as_asked_a_second_at_least_and_a_day_at_most(said: str, wait: timedelta) -> None:
    assert wait_asked({"Retry-After": said}, NOW) == wait


@pytest.mark.parametrize(
    ("status", "headers", "kind"),
    [
        (429, {}, Quota),
        (429, {"Retry-After": "60"}, Quota),
        (503, {"Retry-After": "60"}, Quota),
        (429, {"Retry-After": "Fri, 02 Jan 2026 15:01:00 GMT"}, Quota),
        (503, {"Retry-After": "Fri, 02 Jan 2026 15:01:00 GMT"}, Quota),
        (503, {}, Transient),
        (500, {"Retry-After": "60"}, Transient),
    ],
)
def test_who_says_when_to_come_again_is_asked_then(
    status: int, headers: dict[str, str], kind: type[SourceError]
) -> None:
    with pytest.raises(SourceError) as caught:
        decode(Answer(status, CaseInsensitiveDict(headers), b""), NOW)
    assert type(caught.value) is kind
    if isinstance(caught.value, Quota):
        said = {429: "too many requests", 503: "the upstream says to wait"}[status]
        assert str(caught.value) == f"{said} (HTTP {status})"
        assert caught.value.retry_at == NOW + (timedelta(minutes=1) if headers else HOUR)


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (429, b"", Quota("too many requests (HTTP 429)", NOW)),
        (503, b"", Transient("HTTP 503")),
        (500, b"{}", Transient("HTTP 500")),
        (300, b"{}", Permanent("redirected (HTTP 300): is the URL right?")),
        (399, b"{}", Permanent("redirected (HTTP 399): is the URL right?")),
        (401, b"<html>", Auth("HTTP 401")),
        (404, b"<html>", Transient("the answer is not JSON (HTTP 404)")),
        (200, b"[]", Transient("the answer is not a JSON object")),
        (200, b" " * (http.MAX_BODY + 1), Transient("the answer is too long")),
    ],
)
def test_what_is_wrong_with_an_answer_is_said(
    status: int, body: bytes, expected: SourceError
) -> None:
    with pytest.raises(SourceError) as caught:
        decode(Answer(status, {}, body), NOW)
    assert (type(caught.value), str(caught.value)) == (type(expected), str(expected))


@pytest.mark.parametrize("status", [200, 401, 400])
def test_an_object_of_the_longest_size_is_taken_whatever_the_status(status: int) -> None:
    body = b"{}" + b" " * (http.MAX_BODY - 2)
    assert decode(Answer(status, {}, body), NOW) == {}


def test_without_a_word_the_wait_is_an_hour() -> None:
    assert wait_asked({}, NOW) == HOUR


dates = itertools.product(["Fri, 02 Jan", "99 Feb"], ["0", "99999"], ["25:61:61 +9999", "0 GMT"])


@given(st.text() | st.sampled_from([" ".join(parts) for parts in dates]))
def test_any_word_gives_a_wait(said: str) -> None:
    assert SHORTEST_WAIT <= wait_asked({"Retry-After": said}, NOW) <= DAY


def client_of(server: Raw) -> Client:
    return Client(Upstream(server.url, "k3y", None, simulated=False))


def test_a_wait_that_an_upstream_asks_for_is_kept(start: Start) -> None:
    server = start([answer(b"{}", b"Retry-After: 300", status=b"429 Too Many Requests")])
    before = datetime.now(UTC)
    with pytest.raises(Quota) as caught:
        client_of(server).get("/", {}, "apikey")
    wait = timedelta(seconds=300)
    assert before + wait <= caught.value.retry_at <= datetime.now(UTC) + wait


def test_an_object_that_is_too_long_is_none_and_is_not_read_to_its_end(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "MAX_BODY", 100)
    head = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
    # An object at first, and blanks, which JSON allows, for seconds.
    began = time.monotonic()
    with pytest.raises(Transient, match="too long"):
        client_of(start(dribble(head + b"{}", b" " * 30))).get("/", {}, "apikey")
    assert time.monotonic() - began < 2, "it took all that came"
