"""Attempts at the lowest level: bytes on a socket that a TLS server has to refuse."""

import os
import socket
import ssl
import struct
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

LIMIT_SECONDS = 5.0

HANDSHAKE, ALERT = 22, 21
ALERTS = {
    10: "unexpected_message",
    40: "handshake_failure",
    42: "bad_certificate",
    50: "decode_error",
    70: "protocol_version",
    80: "internal_error",
    116: "certificate_required",
}


class Answer(NamedTuple):
    """A server's reaction: the kind of refusal, or what it allowed, and its message."""

    kind: str
    text: str


TLS, AUTHENTICATION, AUTHORISATION = "TLS", "authentication", "authorisation"
ACCEPTED, TRUSTED, CLOSED = "accepted", "trusted", "closed"


def reached(address: str) -> Answer:
    """Only connect. A port that is closed by a packet filter does not even refuse."""
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=LIMIT_SECONDS):
            return Answer(ACCEPTED, "connected")
    except ConnectionRefusedError:
        return Answer(CLOSED, "connection refused")
    except TimeoutError:
        return Answer(CLOSED, f"no answer within {LIMIT_SECONDS:g} s")


def without_tls(address: str, request: bytes) -> Answer:
    """Send a request of the server's own protocol, without TLS."""
    return _exchange(address, request)


def with_tls_1_1(address: str) -> Answer:
    """Send a ClientHello with TLS 1.1 as the highest version, which libraries no longer do."""
    return _exchange(address, client_hello(0x0302))


def client_hello(version: int) -> bytes:
    """A ClientHello with this version and common cipher suites of its time."""
    suites = struct.pack(">4H", 0xC014, 0xC013, 0x0035, 0x002F)
    curves = struct.pack(">HHHHH", 10, 6, 4, 23, 24)
    formats = struct.pack(">HHBB", 11, 2, 1, 0)
    extensions = curves + formats
    body = (
        struct.pack(">H", version)
        + os.urandom(32)
        + b"\0"
        + struct.pack(">H", len(suites))
        + suites
        + b"\1\0"
        + struct.pack(">H", len(extensions))
        + extensions
    )
    hello = b"\1" + len(body).to_bytes(3, "big") + body
    return struct.pack(">BHH", HANDSHAKE, version, len(hello)) + hello


def trusted(address: str, ca_file: Path, then: Callable[[ssl.SSLSocket], Answer]) -> Answer:
    """Connect with TLS, trusting only our CA, and call `then`."""
    host, _, port = address.rpartition(":")
    context = ssl.create_default_context(cafile=str(ca_file))
    with (
        socket.create_connection((host, int(port)), timeout=LIMIT_SECONDS) as plain,
        context.wrap_socket(plain, server_hostname=host) as connection,
    ):
        return then(connection)


def version(connection: ssl.SSLSocket) -> Answer:
    """The control: the server is up, and its certificate is from our CA."""
    return Answer(TRUSTED, connection.version() or "no TLS")


def without_certificate(connection: ssl.SSLSocket, request: bytes) -> Answer:
    """Send a request without the client certificate that the server requires."""
    try:
        connection.sendall(request)
        answer = connection.recv(1)
    except ssl.SSLError as error:
        # With TLS 1.3 the refusal comes after the handshake.
        return Answer(TLS, f"alert {(error.reason or str(error)).lower()}")
    except ConnectionError:
        answer = b""
    return Answer(ACCEPTED, "it answered") if answer else Answer(TLS, "connection closed")


def unanswered(connection: ssl.SSLSocket, request: bytes) -> Answer:
    """Send a request that requires a login."""
    try:
        connection.sendall(request)
        answer = connection.recv(1)
    except ConnectionError:
        answer = b""
    closed = Answer(AUTHENTICATION, "connection closed")
    return Answer(ACCEPTED, "it answered") if answer else closed


def _exchange(address: str, request: bytes) -> Answer:
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=LIMIT_SECONDS) as connection:
        connection.settimeout(LIMIT_SECONDS)
        try:
            connection.sendall(request)
            answer = connection.recv(64)
        except ConnectionError:
            answer = b""
    return judge(answer)


def judge(answer: bytes) -> Answer:
    """Classify the first bytes of an answer to an invalid ClientHello."""
    if not answer:
        return Answer(TLS, "connection closed")
    if answer[0] == ALERT and len(answer) >= 7:
        return Answer(TLS, f"alert {ALERTS.get(answer[6], answer[6])}")
    if answer.startswith(b"HTTP/") and b" 400 " in answer:
        return Answer(TLS, "400 Bad Request")
    return Answer(ACCEPTED, f"it answered with {answer[:16]!r}")
