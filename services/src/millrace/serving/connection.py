"""A client's connection: bytes in and out, over TLS or not. Nothing here waits, but a stream."""

import enum
import select
import selectors
import socket
import ssl
import time
from collections import deque
from contextlib import suppress
from typing import Any

from millrace.serving.limits import Limits
from millrace.serving.request import Request

CHUNK = 16 * 1024
"""As much as a TLS record holds."""
_LATER = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
_UNUSED = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)


def forget_errors() -> None:
    """Empty the thread's queue of TLS errors: the next connection would take them for its own.

    What a system call says stays there, and whoever has to wait for its client looks into it.
    """
    with suppress(ssl.SSLError):
        _UNUSED.set_ciphers("NONE")  # It has to fail, and clears the queue as it does.


class State(enum.Enum):
    """What a connection waits for: in all states but ANSWERING it is the client."""

    HANDSHAKE = enum.auto()
    IDLE = enum.auto()
    HEAD = enum.auto()
    BODY = enum.auto()
    ANSWERING = enum.auto()
    SENDING = enum.auto()
    CLOSING = enum.auto()


class Connection:
    """In ANSWERING it belongs to a thread of the pool, in all other states to the server's."""

    def __init__(
        self, plain: socket.socket, address: Any, context: ssl.SSLContext | None, limits: Limits
    ) -> None:
        self.address = address
        self.inbox = bytearray()
        self.request: Request | None = None
        self.is_kept = True
        """Whether another request may follow."""
        self.is_lost = False
        """Whether the client is gone, or takes nothing."""
        self.state = State.HANDSHAKE if context else State.HEAD
        self.since = self.deadline = 0.0
        self.wanted = selectors.EVENT_READ
        """What the socket has to be ready for before it is tried again."""
        self._limits = limits
        self._outbox: deque[memoryview] = deque()
        self._waiting = 0
        plain.setblocking(False)
        # The kernel would hold megabytes for each client, which count as the container's memory.
        for buffer in (socket.SO_SNDBUF, socket.SO_RCVBUF):
            plain.setsockopt(socket.SOL_SOCKET, buffer, limits.socket_bytes)
        # Who vanishes without a word is noticed when what was sent is not acknowledged.
        patience = int(1000 * limits.send_seconds)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, patience)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket: Any = plain
        if context:
            self._socket = context.wrap_socket(
                plain, server_side=True, do_handshake_on_connect=False
            )

    def enter(self, state: State, seconds: float = float("inf")) -> None:
        """Begin to wait for something else, for so long at most."""
        self.state = state
        self.since = time.monotonic()
        self.deadline = self.since + seconds

    def fileno(self) -> int:
        """The socket's, or -1."""
        return int(self._socket.fileno())

    def size(self) -> int:
        """Bytes that are held for the client."""
        body = self.request.held if self.request else 0
        return len(self.inbox) + body + self._waiting

    def shake_hands(self) -> bool:
        """Go on with the handshake; whether it is done."""
        try:
            self._socket.do_handshake()
        except _LATER as later:
            self._want(later, selectors.EVENT_READ)
            return False
        self.wanted = selectors.EVENT_READ
        return True

    def receive(self) -> bytes | None:
        """What is there: nothing if the client has hung up, None if there is only no more yet."""
        try:
            data: bytes = self._socket.recv(CHUNK)
        except _LATER as later:
            self._want(later, selectors.EVENT_READ)
            return None
        return data

    def flush(self) -> bool:
        """Send what the client takes now; whether that was all."""
        while self._outbox:
            try:
                sent = self._socket.send(self._outbox[0])
            except _LATER as later:
                self._want(later, selectors.EVENT_WRITE)
                return False
            self._waiting -= sent
            rest = self._outbox.popleft()[sent:]
            if rest:
                self._outbox.appendleft(rest)
        return True

    def wait(self) -> None:
        """Send everything; TimeoutError if the client takes nothing for too long."""
        while not self.flush():
            poll = select.poll()
            is_read = self.wanted == selectors.EVENT_READ
            poll.register(self._socket, select.POLLIN if is_read else select.POLLOUT)
            if not poll.poll(1000 * self._limits.send_seconds):
                raise TimeoutError

    def finish(self) -> None:
        """Say that nothing more comes."""
        if isinstance(self._socket, ssl.SSLSocket):
            with suppress(OSError, ValueError):  # The client's own goodbye is not waited for.
                self._socket.unwrap()
            forget_errors()
        self._socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Hang up, whatever has failed."""
        self._socket.close()
        forget_errors()

    def is_gone(self) -> bool:
        """Whether the client has hung up: asked by what sends for long and seldom."""
        poll = select.poll()
        poll.register(self._socket, select.POLLRDHUP)
        return bool(poll.poll(0))

    def _want(self, later: Exception, plainly: int) -> None:
        # TLS may have to read in order to write, and the other way round.
        if isinstance(later, ssl.SSLWantReadError):
            self.wanted = selectors.EVENT_READ
        elif isinstance(later, ssl.SSLWantWriteError):
            self.wanted = selectors.EVENT_WRITE
        else:
            self.wanted = plainly

    # What gunicorn's Response asks of a socket.

    def sendall(self, data: bytes) -> None:
        """Send what the client takes now, and keep the rest."""
        self._outbox.append(memoryview(data))
        self._waiting += len(data)
        self.flush()

    def send(self, data: bytes) -> None:
        """Only `100 Continue` comes this way, and the body is here already."""

    def gettimeout(self) -> float:
        """It never blocks."""
        return 0.0
