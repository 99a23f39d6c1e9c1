"""Clients that are slow, silent or many hold up nobody but themselves, and not for long."""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from prometheus_client import CollectorRegistry
from services.tests.broker import certificate
from services.tests.serving.world import (
    BODY,
    LATE_SECONDS,
    MANY,
    PATIENT,
    SHORT,
    SOON_SECONDS,
    Api,
    all_closed,
    dribbling,
    held,
    post,
    request,
    serving,
    status,
)

from millrace.api.stream import MAX_STREAMS
from millrace.runtime.probes import Probes
from millrace.serving.limits import KIB, MIB

LARGE = request("GET /v1/stocks/events")
STREAM = request("GET /v1/stocks/stream", "Last-Event-ID: 0:0,1:0")
HEAD = b"GET /live HTTP/1.1\r\nHost: "
BEGUN = post(body="{", length=1000)


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return certificate(tmp_path_factory.mktemp("pem"), "localhost")


@pytest.fixture(scope="module")
def api(pem: Path) -> Iterator[Api]:
    with serving(pem, PATIENT) as (api, _):
        yield api


@pytest.fixture(scope="module")
def hasty(pem: Path) -> Iterator[Api]:
    with serving(pem, SHORT) as (api, _):
        yield api


def begin_handshake(api: Api) -> socket.socket:
    connection = api.plain()
    connection.sendall(b"\x16")
    return connection


Make = Callable[[Api], socket.socket]
SLOW: dict[str, Make] = {
    "says nothing": Api.plain,
    "begins a handshake": begin_handshake,
    "asks nothing": Api.connect,
    "begins a line": lambda api: api.connect(b"GET /live HT"),
    "begins a head": lambda api: api.connect(HEAD),
    "begins a body": lambda api: api.connect(BEGUN),
    "begins a body without a token": lambda api: api.connect(BEGUN.replace(b"sender", b"no")),
    "reads no answer": lambda api: api.connect(LARGE, window=4096),
}
slow = pytest.mark.parametrize("make", SLOW.values(), ids=SLOW)


@slow
def test_who_is_slow_holds_up_nobody(api: Api, make: Make) -> None:
    with held(lambda: make(api)) as connections:
        api.serves_everybody()
        with dribbling(connections):
            api.serves_everybody()


def test_who_is_slow_is_hung_up_on_whatever_dribbles_in(hasty: Api) -> None:
    makes = iter(SLOW.values())
    with held(lambda: next(makes)(hasty), len(SLOW)) as connections, dribbling(connections):
        assert all_closed(connections)


def test_who_does_not_read_a_stream_loses_it(hasty: Api) -> None:
    with held(lambda: hasty.connect(STREAM, window=4096), MAX_STREAMS):
        hasty.serves_everybody()
        becomes(hasty, STREAM)


def test_who_leaves_a_stream_leaves_its_place(api: Api) -> None:
    silent = request("GET /v1/stocks/stream")
    for _ in range(2 * MAX_STREAMS):
        becomes(api, silent)


def test_who_vanishes_without_a_word_leaves_the_place_of_a_stream() -> None:
    """As when a computer sleeps: nothing closes the connection, and nothing answers on it."""
    script = Path(__file__).with_name("vanished.py")
    found = subprocess.run(
        ["unshare", "--map-root-user", "--net", sys.executable, script],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert float(found.stdout) < LATE_SECONDS


def becomes(api: Api, data: bytes) -> None:
    """Wait until there is a place."""
    end = time.monotonic() + LATE_SECONDS
    while api.ask(data) == 429:
        assert time.monotonic() < end
        time.sleep(0.1)


def test_who_asks_again_may_be_slow_with_that(hasty: Api) -> None:
    with hasty.connect(request("GET /live")) as connection:
        assert status(connection) == 200
        time.sleep(SHORT.head_seconds + 0.5)
        connection.sendall(request("GET /live"))
        assert status(connection) == 200
        assert all_closed([connection])


@pytest.fixture(scope="module")
def small(pem: Path) -> Iterator[Api]:
    with serving(pem, msgspec.structs.replace(PATIENT, connections=20)) as (api, _):
        yield api


def test_those_who_waited_longest_make_room(small: Api) -> None:
    with held(small.connect, 10) as oldest, held(lambda: small.connect(b"GET")) as connections:
        small.serves_everybody()
        assert all_closed([*oldest, *connections[:-20]])
        assert not all_closed(connections[-10:], 0.5)


def test_those_who_wait_between_requests_make_room_first(small: Api) -> None:
    with (
        held(lambda: small.connect(b"GET"), 10) as begun,
        held(lambda: small.connect(request("GET /live")), 10) as idle,
    ):
        assert [status(connection) for connection in idle] == 10 * [200]
        small.serves_everybody()
        assert all_closed(idle[:1])
        assert not all_closed(begun, 0.1)


@pytest.fixture(scope="module")
def little(pem: Path) -> Iterator[Api]:
    with serving(pem, msgspec.structs.replace(PATIENT, total_bytes=4 * MIB)) as (api, _):
        yield api


def test_bodies_that_wait_are_bounded(little: Api) -> None:
    large = post(body=1000 * KIB * " ", length=MIB)
    with held(lambda: little.connect(large), 30) as bodies:
        little.serves_everybody()
        assert all_closed(bodies[:20])
        # An honest one may be as large.
        assert little.ask(post(body=BODY + (MIB - len(BODY)) * " ")) == 202


def test_answers_that_wait_hold_no_thread_and_are_bounded(little: Api) -> None:
    with held(lambda: little.connect(LARGE, window=4096)) as unread:
        little.serves_everybody()
        assert all_closed(unread[: MANY // 2])


def test_a_server_that_is_told_to_stop_does_not_wait_for_them(pem: Path) -> None:
    with serving(pem, PATIENT) as (api, process), held(lambda: api.connect(b"GET")):
        start = time.monotonic()
        process.terminate()
        assert process.wait(10) == 0
        assert time.monotonic() - start < SOON_SECONDS


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
        connection = socket.create_connection(("127.0.0.1", probes.port), timeout=SOON_SECONDS)
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
