"""The API as it is deployed, under gunicorn and with TLS, but with little patience; its clients."""

import json
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import msgspec
from services.tests.api.world import READER, SENDER

from millrace.serving.limits import Limits

PATIENT = Limits()
"""Nobody is hung up on while a test runs."""
SHORT = Limits(handshake_seconds=2, head_seconds=2, body_seconds=2, idle_seconds=4, send_seconds=2)
MANY = 60
"""More than the server has threads, and places for streams and for ingestion."""
START_SECONDS = 60.0
SOON_SECONDS = 5.0
"""For a machine that has other things to do; who is held up waits longer."""
LATE_SECONDS = 10.0
"""By then a deadline of SHORT has passed, and was looked at."""
SERVE = """
import sys, msgspec
from pathlib import Path
from services.tests.api.world import World, document
from millrace.runtime import gunicorn, logging
from millrace.api.ingest import MAX_REQUESTS
from millrace.api.stream import MAX_STREAMS
from millrace.serving.limits import Limits
pem, limits = Path(sys.argv[2]), msgspec.json.decode(sys.argv[3], type=Limits)
world = World(*(document(n, source=100_000 * "x") for n in range(12)))
logging.configure("api", "DEBUG", [])
threads = gunicorn.THREADS + MAX_STREAMS + MAX_REQUESTS
gunicorn.serve(world.app(), int(sys.argv[1]), pem, pem, threads, world.stop, limits)
"""
BODY = json.dumps({"symbol": "A", "price": 1.5, "volume": 3, "timestamp": "2026-01-02T15:00:00Z"})


def request(line: str, *headers: str, body: str = "", token: str = READER) -> bytes:
    """A request with a token."""
    lines = [f"{line} HTTP/1.1", "Host: api", f"Authorization: Bearer {token}", *headers, "", body]
    return "\r\n".join(lines).encode()


def post(*headers: str, body: str = BODY, length: int | None = None) -> bytes:
    """A quote that is sent."""
    size = len(body) if length is None else length
    return request(
        "POST /ingest/quote",
        "Content-Type: application/json",
        f"Content-Length: {size}",
        *headers,
        body=body,
        token=SENDER,
    )


class Api:
    """A server, and how its clients reach it."""

    def __init__(self, port: int, pem: Path) -> None:
        self.port = port
        self.context = ssl.create_default_context(cafile=str(pem))

    def plain(self, window: int = 0) -> socket.socket:
        """A connection that has said nothing."""
        plain = socket.socket()
        plain.settimeout(10)
        if window:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        try:
            plain.connect(("127.0.0.1", self.port))
        except OSError:
            plain.close()
            raise
        return plain

    def connect(self, *data: bytes, window: int = 0) -> ssl.SSLSocket:
        """A connection whose handshake is done, and on which this was sent."""
        connection = self.context.wrap_socket(self.plain(window), server_hostname="localhost")
        for part in data:
            connection.sendall(part)
        return connection

    def ask(self, data: bytes) -> int:
        """The status of the answer to a request on a connection of its own."""
        with self.connect(data) as connection:
            return status(connection)

    def serves_everybody(self) -> None:
        """Fails unless an honest client is answered at once."""
        for data, expected in (
            (request("GET /live"), 200),
            (request("GET /v1/feeds"), 200),
            (post(), 202),
        ):
            start = time.monotonic()
            assert self.ask(data) == expected
            assert time.monotonic() - start < SOON_SECONDS


def status(connection: socket.socket) -> int:
    """The status of the next answer."""
    head = b""
    while b"\r\n\r\n" not in head:
        data = connection.recv(4096)
        assert data, "the server hung up"
        head += data
    return int(head.split(b" ", 2)[1])


@contextmanager
def serving(
    pem: Path, limits: Limits, output: IO[str] | None = None
) -> Iterator[tuple[Api, subprocess.Popen[bytes]]]:
    """A running API, and where what it says goes."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    given = msgspec.json.encode(limits).decode()
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE, str(port), str(pem), given], stdout=output, stderr=output
    )
    api = Api(port, pem)
    try:
        end = time.monotonic() + START_SECONDS
        while True:
            try:
                assert api.ask(request("GET /live")) == 200
                break
            except ConnectionError:
                assert time.monotonic() < end
                time.sleep(0.1)
        yield api, process
    finally:
        process.kill()
        process.wait()


@contextmanager
def held(make: Callable[[], socket.socket], many: int = MANY) -> Iterator[list[socket.socket]]:
    """So many connections."""
    connections = [make() for _ in range(many)]
    try:
        yield connections
    finally:
        for connection in connections:
            connection.close()


@contextmanager
def dribbling(connections: Sequence[socket.socket]) -> Iterator[None]:
    """A byte comes on each connection again and again."""
    stop = threading.Event()

    def run() -> None:
        while not stop.wait(0.1):
            for connection in connections:
                with suppress(OSError):
                    connection.send(b"x")

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def all_closed(connections: Sequence[socket.socket], seconds: float = LATE_SECONDS) -> bool:
    """Whether the server hangs up on all of them by then."""
    end = time.monotonic() + seconds
    for connection in connections:
        with suppress(ConnectionError, ssl.SSLError):
            while True:
                connection.settimeout(max(0.01, end - time.monotonic()))
                try:
                    if not connection.recv(1 << 20):
                        break
                except TimeoutError:
                    return False
    return True
