"""What the server makes of HTTP: gunicorn's parser, on requests that are here as a whole."""

import json
import socket
import ssl
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from services.tests.api.world import READER
from services.tests.broker import certificate
from services.tests.serving.world import BODY, Api, post, request, serving, status

from millrace.serving.limits import KIB, MIB, Limits
from millrace.serving.problem import MEDIA_TYPE

LIVE = request("GET /live")
LAST = request("GET /live", "Connection: close")


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    pem = certificate(tmp_path_factory.mktemp("pem"), "localhost")
    with serving(pem, Limits()) as (api, _):
        yield api


def everything(connection: ssl.SSLSocket) -> bytes:
    """What comes until the server hangs up."""
    found = b""
    while data := connection.recv(1 << 16):
        found += data
    return found


def statuses(api: Api, *data: bytes) -> list[int]:
    """Of all answers to what is sent on one connection, which the server closes."""
    with api.connect(*data) as connection:
        found = everything(connection)
    return [int(part.split(b" ", 1)[0]) for part in found.split(b"HTTP/1.1 ")[1:]]


def test_a_connection_is_kept_until_the_client_has_enough(api: Api) -> None:
    with api.connect() as connection:
        for _ in range(3):
            connection.sendall(LIVE)
            assert status(connection) == 200
        connection.sendall(post())
        assert status(connection) == 202
        connection.sendall(LAST)
        assert everything(connection).count(b"Connection: close") == 1


@pytest.mark.parametrize("header", ["SCRIPT_NAME: /elsewhere", "PATH_INFO: /missing"])
def test_a_client_does_not_say_by_a_header_what_its_path_is(api: Api, header: str) -> None:
    assert statuses(api, request("GET /live", header, "Connection: close")) == [200]


def test_requests_that_come_at_once_are_answered_in_their_order(api: Api) -> None:
    missing = request("GET /missing")
    assert statuses(api, LIVE + missing + post() + LIVE + missing + LAST) == [
        200,
        404,
        202,
        200,
        404,
        200,
    ]


def test_a_request_in_pieces_is_one(api: Api) -> None:
    pieces = [bytes([byte]) for byte in post("Connection: close")]
    assert statuses(api, *pieces) == [202]


def test_an_old_client_is_hung_up_on_after_the_answer(api: Api) -> None:
    with api.connect(LIVE.replace(b"HTTP/1.1", b"HTTP/1.0")) as connection:
        assert everything(connection).startswith(b"HTTP/1.0 200 ")


def test_who_waits_for_leave_to_send_a_body_gets_it(api: Api) -> None:
    head = post("Expect: 100-continue", "Connection: close", body="", length=len(BODY))
    with api.connect(head) as connection:
        assert connection.recv(4096) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(BODY.encode())
        found = everything(connection)
    assert found.startswith(b"HTTP/1.1 202 ")
    assert b"100 Continue" not in found


def test_who_waits_for_leave_to_send_too_much_does_not_get_it(api: Api) -> None:
    head = post("Expect: 100-continue", body="", length=MIB + 1)
    assert statuses(api, head) == [413]


def test_who_sends_too_much_is_told_so(api: Api) -> None:
    assert statuses(api, post(body=(MIB + 1) * " ")) == [413]
    with api.connect(post(body=MIB * " ", length=100 * MIB)) as connection:
        assert status(connection) == 413


def test_a_body_of_unknown_size_is_refused_and_is_no_request(api: Api) -> None:
    chunked = request(
        "POST /ingest/quote",
        "Content-Type: application/json",
        "Transfer-Encoding: chunked",
        token="sender-token",
    )
    assert statuses(api, chunked + b"5\r\nhello\r\n0\r\n\r\n" + LAST) == [411]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (post("Content-Length: 1"), 400),
        (post("Transfer-Encoding: chunked"), 400),
        (post("Transfer-Encoding: identity"), 400),
        (post("Transfer-Encoding : chunked"), 400),
        (post(length=-1), 400),
        (request("GET /live", "A: b\nContent-Length: 5"), 400),
        (request("GET /live", "Host: other"), 400),
        (request("GET /live", "Expect: miracles"), 417),
        (request("GET /live", "Transfer-Encoding: strange, chunked"), 501),
        (request(f"GET /{5000 * 'x'}"), 414),
        (request("GET /live", *(f"H{n}: x" for n in range(200))), 431),
        (request("GET /live", f"H: {40 * KIB * 'x'}"), 431),
        (b"\r\n\r\n" + LIVE, 400),
        (b"\x00\r\n\r\n", 400),
    ],
)
def test_what_could_be_read_in_two_ways_is_refused_and_ends_the_connection(
    api: Api, data: bytes, expected: int
) -> None:
    assert statuses(api, data + LAST) == [expected]


def test_every_refusal_is_a_problem_document(api: Api) -> None:
    for data in (b"no request\r\n\r\n", request("GET /live", f"H: {40 * KIB * 'x'}")):
        with api.connect(data) as connection:
            head, body = everything(connection).split(b"\r\n\r\n")
        assert f"Content-Type: {MEDIA_TYPE}".encode() in head
        found = json.loads(body)
        assert head.startswith(f"HTTP/1.1 {found['status']} {found['title']}".encode())
        assert found["detail"]


def test_a_header_without_its_colon_puts_no_token_into_the_log(tmp_path: Path) -> None:
    pem, log = certificate(tmp_path, "localhost"), tmp_path / "log"
    with log.open("w") as file, serving(pem, Limits(), output=file) as (api, _):
        for line in (f"Authorization Bearer {READER}", f"Bad({READER}): x"):
            broken = request("GET /v1/feeds", line)
            assert statuses(api, broken) == [400]
        api.serves_everybody()
    assert READER not in log.read_text()


def test_a_client_that_leaves_in_the_middle_harms_nobody(api: Api) -> None:
    whole = post()
    with api.connect() as kept:
        for size in range(0, len(whole), 20):
            with suppress(OSError), api.connect(whole[:size]) as connection:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            kept.sendall(LIVE)
            assert status(kept) == 200
    api.plain().close()
    with api.plain() as plain:
        plain.sendall(LIVE)
        with suppress(ConnectionError):
            plain.recv(4096)
    api.serves_everybody()


def test_the_server_says_no_more_about_itself_than_its_name(api: Api) -> None:
    with api.connect(LAST) as connection:
        names = [line for line in everything(connection).split(b"\r\n") if b"erver" in line]
    assert names == [b"Server: gunicorn"]
