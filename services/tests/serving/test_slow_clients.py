"""Clients that are slow, silent or many hold up nobody but themselves, and not for long."""

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from prometheus_client import CollectorRegistry
from services.tests.base.broker import certificate
from services.tests.serving.world import (
    BODY,
    LATE_SECONDS,
    MANY,
    SHORT,
    Api,
    all_closed,
    dribbling,
    held,
    post,
    request,
    serving,
    status,
)

from millrace.probes import Probes
from millrace.serving.limits import KIB, MIB, Limits

PATIENT = Limits()
LARGE = request("GET /v1/stocks/events")
STREAM = request("GET /v1/stocks/stream", "Last-Event-ID: 0:0,1:0")


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return certificate(tmp_path_factory.mktemp("pem"), "localhost")


@pytest.fixture(scope="module")
def api(pem: Path) -> Iterator[Api]:
    with serving(pem, SHORT) as (api, _):
        yield api


def test_who_connects_and_says_nothing(api: Api) -> None:
    with held(api.plain) as connections:
        api.serves_everybody()
        assert all_closed(connections)


def test_who_begins_a_handshake(api: Api) -> None:
    def begin() -> socket.socket:
        connection = api.plain()
        connection.sendall(b"\x16")
        return connection

    with held(begin) as connections:
        api.serves_everybody()
        with dribbling(connections):
            api.serves_everybody()
            assert all_closed(connections)


@pytest.mark.parametrize("sent", [b"", b"GET /live HT", b"GET /live HTTP/1.1\r\nHost: "])
def test_who_does_not_finish_a_head(api: Api, sent: bytes) -> None:
    with held(lambda: api.connect(sent)) as connections:
        api.serves_everybody()
        assert all_closed(connections)


def test_whose_head_comes_byte_by_byte(api: Api) -> None:
    head = b"GET /live HTTP/1.1\r\nHost: "
    with held(lambda: api.connect(head)) as connections, dribbling(connections):
        api.serves_everybody()
        assert all_closed(connections)


@pytest.mark.parametrize("token", ["sender-token", "unknown"])
def test_whose_body_comes_byte_by_byte(api: Api, token: str) -> None:
    head = post(body="{", length=1000).replace(b"sender-token", token.encode())
    with held(lambda: api.connect(head)) as connections, dribbling(connections):
        api.serves_everybody()
        assert all_closed(connections)


def test_who_does_not_read_a_large_answer(api: Api) -> None:
    with held(lambda: api.connect(LARGE, window=4096)) as connections:
        api.serves_everybody()
        time.sleep(SHORT.send_seconds + 1)
        # What the kernel had is here; the rest never comes.
        assert all_closed(connections, 1)


def test_who_does_not_read_a_stream_loses_it(api: Api) -> None:
    with held(lambda: api.connect(STREAM, window=4096)):
        api.serves_everybody()
        assert api.ask(STREAM) == 429
        end = time.monotonic() + LATE_SECONDS
        while api.ask(STREAM) == 429:
            assert time.monotonic() < end
            time.sleep(0.1)


def test_who_leaves_a_stream_leaves_its_place(api: Api) -> None:
    silent = request("GET /v1/stocks/stream")
    for _ in range(20):
        end = time.monotonic() + LATE_SECONDS
        while api.ask(silent) != 200:
            assert time.monotonic() < end
            time.sleep(0.1)


def test_who_asks_again_may_be_slow_with_that(api: Api) -> None:
    with api.connect(request("GET /live")) as connection:
        assert status(connection) == 200
        time.sleep(SHORT.head_seconds + 1)
        connection.sendall(request("GET /live"))
        assert status(connection) == 200
        assert all_closed([connection], SHORT.idle_seconds + 2)


def test_those_who_waited_longest_make_room(pem: Path) -> None:
    few = msgspec.structs.replace(PATIENT, connections=20)
    with serving(pem, few) as (api, process), held(api.connect, 10) as oldest:
        with held(lambda: api.connect(b"GET")) as connections:
            api.serves_everybody()
            assert all_closed([*oldest, *connections[:-20]])
            assert not all_closed(connections[-10:], 0.5)
        process.terminate()
        assert process.wait(5) == 0


def test_those_who_wait_between_requests_make_room_first(pem: Path) -> None:
    few = msgspec.structs.replace(PATIENT, connections=20)
    with (
        serving(pem, few) as (api, _),
        held(lambda: api.connect(b"GET"), 10) as slow,
        held(lambda: api.connect(request("GET /live")), 10) as idle,
    ):
        assert [status(connection) for connection in idle] == 10 * [200]
        api.serves_everybody()
        assert all_closed(idle[:1], 1)
        assert not all_closed(slow, 0.1)


def test_bodies_that_wait_are_bounded(pem: Path) -> None:
    little = msgspec.structs.replace(PATIENT, total_bytes=4 * MIB)
    large = post(body=1000 * KIB * " ", length=MIB)
    with serving(pem, little) as (api, _), held(lambda: api.connect(large), 30) as bodies:
        api.serves_everybody()
        assert all_closed(bodies[:20])
        # An honest one may be as large.
        assert api.ask(post(body=BODY + (MIB - len(BODY)) * " ")) == 202


def test_answers_that_wait_hold_no_thread_and_are_bounded(pem: Path) -> None:
    little = msgspec.structs.replace(PATIENT, total_bytes=8 * MIB)
    with serving(pem, little) as (api, _), held(lambda: api.connect(LARGE, window=4096)) as slow:
        api.serves_everybody()
        assert all_closed(slow[: MANY // 2])


def test_a_server_that_is_told_to_stop_does_not_wait_for_them(pem: Path) -> None:
    with serving(pem, PATIENT) as (api, process), held(lambda: api.connect(b"GET")):
        start = time.monotonic()
        process.terminate()
        assert process.wait(10) == 0
        assert time.monotonic() - start < 3


@pytest.fixture
def probes() -> Iterator[Probes]:
    running = Probes(
        0,
        live=lambda: None,
        ready=lambda: None,
        status=dict,
        registry=CollectorRegistry(),
        limits=SHORT,
    )
    yield running
    running.close()


@pytest.mark.parametrize(
    "sent", [b"", b"GET /li", b"POST /live HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n"]
)
def test_probes_answer_whoever_holds_them_up(probes: Probes, sent: bytes) -> None:
    def ask(data: bytes = b"") -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", probes.port), timeout=2)
        connection.sendall(data)
        return connection

    before = threading.active_count()
    with held(lambda: ask(sent)) as connections, dribbling(connections):
        for path in (b"/live", b"/ready"):
            with ask(b"GET " + path + b" HTTP/1.0\r\n\r\n") as honest:
                assert status(honest) == 200
        # Of the threads, one dribbles, and some answer.
        assert threading.active_count() <= before + 10
        assert all_closed(connections)
