"""The server by itself: without TLS, for applications that misbehave."""

import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from gunicorn.config import Config
from services.tests.serving.world import request

from millrace.serving.connection import State
from millrace.serving.limits import Limits
from millrace.serving.server import Server


def application(environ: Mapping[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
    if environ["PATH_INFO"] == "/broken":
        raise KeyError("secret")
    if environ["PATH_INFO"] == "/breaks":
        start("200 OK", [("Content-Length", "10")])
        return breaks()
    if environ["PATH_INFO"] == "/endless":
        start("200 OK", [])
        return iter([b"one", b"two"])
    body: bytes = environ["wsgi.input"].read()
    start("200 OK", [("Content-Length", str(len(body)))])
    return [body]


def breaks() -> Iterator[bytes]:
    yield b"one"
    raise KeyError("secret")


@contextmanager
def running() -> Iterator[Callable[[bytes], bytes]]:
    """What is answered until the server hangs up, by what is sent."""
    listener = socket.create_server(("127.0.0.1", 0))
    address = listener.getsockname()
    server = Server(application, [listener], Config(), threads=2, limits=Limits())
    stop = threading.Event()

    def serve() -> None:
        while not stop.is_set():
            server.step(1)
        server.stop()
        server.close()

    def ask(data: bytes) -> bytes:
        found = b""
        with socket.create_connection(address, timeout=10) as connection:
            connection.sendall(data)
            while part := connection.recv(4096):
                found += part
        return found

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield ask
    finally:
        stop.set()
        server.wake()
        thread.join()


def test_an_application_that_fails_says_nothing_of_why_and_harms_no_other() -> None:
    with running() as ask:
        failed = ask(request("GET /broken"))
        assert failed.startswith(b"HTTP/1.1 500 ")
        assert b"secret" not in failed
        for _ in range(3):
            assert ask(request("GET /breaks")).endswith(b"\r\n\r\none")
        assert ask(request("GET /", "Connection: close")).startswith(b"HTTP/1.1 200 ")


def test_an_answer_of_unknown_length_has_an_end_all_the_same() -> None:
    with running() as ask:
        new = ask(request("GET /endless", "Connection: close"))
        assert new.endswith(b"\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n")
        old = ask(request("GET /endless").replace(b"HTTP/1.1", b"HTTP/1.0"))
        assert old.endswith(b"\r\n\r\nonetwo")


def test_an_application_gets_the_body_and_not_what_follows_it() -> None:
    with running() as ask:
        first = request("POST /", "Content-Length: 3", body="one")
        last = request("POST /", "Content-Length: 5", "Connection: close", body="three")
        found = ask(first + last)
    assert [part.rpartition(b"\r\n\r\n")[2] for part in found.split(b"HTTP/1.1 ")[1:]] == [
        b"one",
        b"three",
    ]


def test_a_connection_that_had_to_make_room_is_not_touched_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # It may have been ready at the same moment, and its descriptor be another connection's now.
    listener = socket.create_server(("127.0.0.1", 0))
    server = Server(application, [listener], Config(), threads=1, limits=Limits())
    with socket.create_connection(listener.getsockname()):
        server.step(5)
        (connection,) = server._connections
        touched: list[None] = []
        monkeypatch.setattr(connection, "receive", lambda: touched.append(None))
        server._make_room()
        server._go_on(connection)
        assert touched == []
    server.stop()
    server.close()


def test_a_closed_server_leaves_no_connection_open_that_a_thread_still_answers() -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slow(environ: Mapping[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        begun.set()
        go_on.wait(10)
        start("200 OK", [("Content-Length", "2")])
        return [b"ok"]

    listener = socket.create_server(("127.0.0.1", 0))
    server = Server(slow, [listener], Config(), threads=1, limits=Limits())
    address = listener.getsockname()
    with ExitStack() as clients:
        first, second = (
            clients.enter_context(socket.create_connection(address, timeout=10)) for _ in range(2)
        )
        for number, client in enumerate((first, second), 1):
            client.sendall(request("GET /"))
            for _ in range(10):
                if [c.state for c in server._connections].count(State.ANSWERING) == number:
                    break
                server.step(5)
            assert begun.wait(10)
        server.stop()
        server.close()
        assert second.recv(4096) == b""  # Its answer had not begun.
        go_on.set()
        found = b""
        while part := first.recv(4096):
            found += part
        assert found.endswith(b"ok")
