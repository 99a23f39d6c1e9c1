"""Holds the API up as anybody could, without a token: slow_clients.py PORT CA.

Connections that say nothing, that begin a handshake, and that dribble a head or a body, more of
each than the API has threads. Fails unless it answers others at once all the while, and hangs up
on all of these by its deadlines; and on nobody else because somebody hung up without a goodbye.
"""

import http.client
import socket
import ssl
import sys
import time
from contextlib import suppress

PORT, CA = int(sys.argv[1]), sys.argv[2]
MANY = 30
BODY_SECONDS, SPARE_SECONDS = 30, 5
BODY = b"POST /v1/ingest/stocks HTTP/1.1\r\nHost: api\r\nContent-Type: application/json\r\n" + (
    b"Content-Length: 1000\r\n\r\n"
)
context = ssl.create_default_context(cafile=CA)


def connect() -> socket.socket:
    return socket.create_connection(("127.0.0.1", PORT), timeout=10)


def sending(data: bytes) -> ssl.SSLSocket:
    connection = context.wrap_socket(connect(), server_hostname="localhost")
    connection.sendall(data)
    return connection


def live() -> float:
    """Seconds that an honest client needs."""
    start = time.monotonic()
    honest = http.client.HTTPSConnection("localhost", PORT, context=context, timeout=10)
    honest.request("GET", "/live")
    status = honest.getresponse().status
    honest.close()
    if status != 200:
        sys.exit(f"/live answers {status}")
    return time.monotonic() - start


def is_open(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        return bool(connection.recv(1000))
    except (BlockingIOError, ssl.SSLWantReadError):
        return True
    except OSError:
        return False


kept = http.client.HTTPSConnection("localhost", PORT, context=context, timeout=10)
for _ in range(MANY):
    rude = sending(b"GET /live HTTP/1.1\r\nX: ")
    rude.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    rude.close()
    kept.request("GET", "/live")  # http.client raises if the API has hung up
    kept.getresponse().read()
kept.close()

silent = [connect() for _ in range(MANY)]
begun = [connect() for _ in range(MANY)]
for one in begun:
    one.sendall(b"\x16")
dribbled = [sending(b"GET /live HTTP/1.1\r\nX: ") for _ in range(MANY)]
dribbled += [sending(BODY) for _ in range(MANY)]
held = [*silent, *begun, *dribbled]
slowest = 0.0
end = time.monotonic() + BODY_SECONDS + SPARE_SECONDS
while held and time.monotonic() < end:
    slowest = max(slowest, live())
    held = [one for one in held if is_open(one)]
    for one in dribbled:
        with suppress(OSError):
            one.send(b"x")
    time.sleep(0.5)
if held:
    sys.exit(f"{len(held)} of {4 * MANY} connections are still open")
if slowest > 5:
    sys.exit(f"an honest client waited for {slowest:.1f} s")
