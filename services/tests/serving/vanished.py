"""Run in a network of its own, which it takes down: a stream's client vanishes without a word.

Prints how many seconds later its place is free.
"""

import fcntl
import socket
import struct
import sys
import threading
import time
from functools import partial

from gunicorn.config import Config
from services.tests.api.world import AUTHORIZED, World
from services.tests.serving.world import request

from millrace.api import stream
from millrace.serving.limits import Limits
from millrace.serving.server import Server

SIOCSIFFLAGS, UP = 0x8914, 1
PATH = "/v1/stocks/stream"


def loopback(flags: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as plain:
        fcntl.ioctl(plain, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags))


stream.MAX_STREAMS, stream.KEEP_ALIVE_SECONDS = 1, 0.1
world = World()
app = world.app()
ask = partial(app.test_client().get, PATH, headers=AUTHORIZED)
loopback(UP)
with socket.create_server(("127.0.0.1", 0)) as listener:
    server = Server(app, [listener], Config(), threads=1, limits=Limits(send_seconds=1))

    def serve() -> None:
        while True:
            server.step(0.1)

    threading.Thread(target=serve, daemon=True).start()
    client = socket.create_connection(listener.getsockname(), timeout=10)
    client.sendall(request(f"GET {PATH}"))
    while b"retry" not in client.recv(4096):
        pass
    assert ask().status_code == 429
    loopback(0)
    start = time.monotonic()
    while ask().status_code == 429 and time.monotonic() - start < 20:
        time.sleep(0.1)
    sys.stdout.write(str(time.monotonic() - start))
    world.stop.set()
