"""An upstream that sends bytes as a test wants them: in parts, slowly, or without an end."""

import contextlib
import itertools
import socket
import ssl
import threading
from collections.abc import Iterable

EVERY = 0.02
"""Seconds between two parts."""


class Raw:
    """Sends parts to whoever connects, until they hang up or there are no more."""

    def __init__(self, parts: Iterable[bytes], context: ssl.SSLContext | None = None) -> None:
        self._parts = parts
        self._context = context
        self._over = threading.Event()
        self._server = socket.create_server(("127.0.0.1", 0))
        self.sent = 0
        scheme = "https" if context else "http"
        self.url = f"{scheme}://localhost:{self._server.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError), contextlib.ExitStack() as held:
            connection = held.enter_context(self._server.accept()[0])
            if self._context:
                connection = held.enter_context(
                    self._context.wrap_socket(connection, server_side=True)
                )
            connection.recv(65_536)
            for part in self._parts:
                connection.sendall(part)
                self.sent += len(part)
                if self._over.wait(EVERY):
                    return

    def close(self) -> None:
        """Stop."""
        self._over.set()
        with contextlib.suppress(OSError):
            # Wakes who accepts, if nobody came.
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join()


def dribble(beginning: bytes, part: bytes = b" ") -> Iterable[bytes]:
    """A beginning at once, then a part again and again, for longer than any test waits."""
    return itertools.chain([beginning], itertools.repeat(part, 150))
