"""Attempts to come in: the right refusal passes, anything else fails."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import bson
import pytest
from kafka.protocol.metadata import MetadataRequest

from millrace.config import Settings
from millrace.verify.access import attempts_api, attempts_kafka, wire
from millrace.verify.access.attempts import Attempt, expect, judge
from millrace.verify.access.attempts_kafka import metadata_request
from millrace.verify.access.attempts_mongodb import hello
from millrace.verify.access.wire import ACCEPTED, AUTHENTICATION, AUTHORISATION, CLOSED, TLS, Answer


def outcome(do: Callable[[], Answer]) -> tuple[bool, str]:
    found = judge(Attempt("server", "name", AUTHORISATION, do))
    return found.ok, found.found


def fail(error: Exception) -> Answer:
    raise error


@pytest.mark.parametrize(
    ("do", "expected"),
    [
        (lambda: Answer(AUTHORISATION, "code 13"), (True, "code 13")),
        (lambda: Answer(AUTHENTICATION, "code 18"), (False, "authentication: code 18")),
        (lambda: Answer(ACCEPTED, "done"), (False, "accepted: done")),
        (lambda: fail(TimeoutError("late\nvery")), (False, "TimeoutError: late")),
        (lambda: fail(ConnectionRefusedError("down")), (False, "ConnectionRefusedError: down")),
    ],
)
def test_only_the_right_refusal_passes(
    do: Callable[[], Answer], expected: tuple[bool, str]
) -> None:
    assert outcome(do) == expected


def test_an_error_that_is_no_refusal_stays_an_error() -> None:
    kinds = {13: AUTHORISATION}
    assert expect(kinds, ValueError("x"), 13, "text") == Answer(AUTHORISATION, "text")
    with pytest.raises(ValueError, match="x"):
        expect(kinds, ValueError("x"), 11000, "text")


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"", TLS),
        (bytes([21, 3, 3, 0, 2, 2, 70]), TLS),
        (b"HTTP/1.1 400 Bad Request\r\n", TLS),
        (b"HTTP/1.1 200 OK\r\n", ACCEPTED),
        (bytes([22, 3, 2, 0, 60]), ACCEPTED),
        (b"\x00\x00\x00\x20 an answer in the clear", ACCEPTED),
        (bytes([21, 3]), ACCEPTED),
    ],
)
def test_what_a_server_answers_to_a_bad_greeting(answer: bytes, kind: str) -> None:
    assert wire.judge(answer).kind == kind


def test_a_tls_1_1_greeting_is_understood_and_refused_as_too_old() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    connection = context.wrap_bio(incoming, outgoing, server_side=True)
    incoming.write(wire.client_hello(0x0302))
    with pytest.raises(ssl.SSLError, match=r"(?i)unsupported.protocol"):
        connection.do_handshake()
    assert wire.judge(outgoing.read()) == Answer(TLS, "alert protocol_version")


@contextmanager
def server(answer: bytes | None) -> Iterator[str]:
    """A server that answers anything with some bytes, or hangs up at once."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                if answer is not None:
                    connection.recv(1024)
                    connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        thread.join()


def test_bytes_in_the_clear_are_sent_and_judged() -> None:
    with server(None) as address:
        assert wire.without_tls(address, b"hello").kind == TLS
    with server(b"hello yourself") as address:
        assert wire.without_tls(address, b"hello").kind == ACCEPTED


def test_the_plaintext_requests_are_what_the_servers_speak() -> None:
    request = metadata_request()
    assert int.from_bytes(request[:4], "big") == len(request) - 4
    assert int.from_bytes(request[4:6], "big") == MetadataRequest.API_KEY
    message = hello()
    assert int.from_bytes(message[:4], "little") == len(message)
    assert bson.decode(message[21:]) == {"hello": 1, "$db": "admin"}


def test_a_port_is_closed_if_nothing_answers_there_and_only_then(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        assert wire.reached(address) == Answer(ACCEPTED, "connected")
    assert wire.reached(address) == Answer(CLOSED, "connection refused")

    def silence(*_: object, **__: object) -> None:
        raise TimeoutError

    monkeypatch.setattr(socket, "create_connection", silence)
    assert wire.reached(address) == Answer(CLOSED, "no answer within 5 s")


def test_every_broker_is_tried_and_its_inner_ports_where_they_can_be_reached() -> None:
    settings = Settings(
        kafka_bootstrap_servers="kafka-1:9092, kafka-2:9092", verify_closed=["kafka-2:9093"]
    )
    found = [
        (attempt.server, attempt.name, attempt.expected)
        for server in ("kafka-1:9092", "kafka-2:9092")
        for attempt in attempts_kafka.on_broker(server, settings)
    ]
    assert ("kafka-1 9093", "no certificate", TLS) in found
    assert [name for server, name, _ in found if server == "kafka-2 9093"] == ["connect"]
    assert ("kafka-2 9093", "connect", CLOSED) in found
    assert ("kafka-2 9094", "no certificate", TLS) in found


class Api(BaseHTTPRequestHandler):
    """An API with two tokens, that refuses as it should or lets everyone in."""

    is_open = False

    def do_GET(self) -> None:
        self._answer("reader")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        assert body == b'{"events": []}', "something would come of it"
        self._answer("sender")

    def _answer(self, right: str) -> None:
        token = (self.headers["Authorization"] or "").removeprefix("Bearer ")
        known = token in {"reader", "sender"}
        status = 200 if token == right or self.is_open else 403 if known else 401
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize("is_open", [False, True])
def test_a_token_is_tried_for_what_it_must_not_do(
    is_open: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Api, "is_open", is_open)
    with ThreadingHTTPServer(("127.0.0.1", 0), Api) as api:
        threading.Thread(target=api.serve_forever, daemon=True).start()
        settings = Settings(
            api_url=f"http://127.0.0.1:{api.server_port}",
            api_token="reader",  # type: ignore[arg-type]
            api_ingest_token="sender",  # type: ignore[arg-type]
        )
        with attempts_api.attempts(settings) as attempts:
            found = [judge(one) for one in attempts if "token" in one.name]
        api.shutdown()
    assert [(one.name, one.expected) for one in found] == [
        ("no token: read", AUTHENTICATION),
        ("no token: ingest", AUTHENTICATION),
        ("wrong token: read", AUTHENTICATION),
        ("wrong token: ingest", AUTHENTICATION),
        ("a reader's token: ingest", AUTHORISATION),
        ("a sender's token: read", AUTHORISATION),
    ]
    assert {one.ok for one in found} == {not is_open}
