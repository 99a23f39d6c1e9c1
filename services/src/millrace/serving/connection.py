"""A client's connection, with or without TLS. Nothing here blocks, except a stream."""

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
"""The size of a TLS record."""
_LATER = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
_UNUSED = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)


def forget_errors() -> None:
    """Clear the thread's TLS error queue, which the next connection would take for its own.

    Errors of system calls stay in it, and are read when a connection has to wait.
    """
    with suppress(ssl.SSLError):
        _UNUSED.set_ciphers("NONE")  # This always fails, and clears the queue.


class State(enum.Enum):
    """What a connection waits for: its client, in all states except ANSWERING."""

    HANDSHAKE = enum.auto()
    IDLE = enum.auto()
    HEAD = enum.auto()
    BODY = enum.auto()
    ANSWERING = enum.auto()
    SENDING = enum.auto()
    CLOSING = enum.auto()


class Connection:
    """A connection. In ANSWERING a pool thread owns it, in all other states the server's thread."""

    def __init__(
        self, plain: socket.socket, address: Any, context: ssl.SSLContext | None, limits: Limits
    ) -> None:
        self.address = address
        self.inbox = bytearray()
        self.request: Request | None = None
        self.is_kept = True
        """Whether another request may follow."""
        self.is_lost = False
        """Whether the client is gone, or does not read."""
        self.state = State.HANDSHAKE if context else State.HEAD
        self.since = self.deadline = 0.0
        self.wanted = selectors.EVENT_READ
        """The event for which the socket has to be ready before the next attempt."""
        self._limits = limits
        self._outbox: deque[memoryview] = deque()
        self._waiting = 0
        plain.setblocking(False)
        # By default the kernel buffers megabytes per client, which count as the container's memory.
        for buffer in (socket.SO_SNDBUF, socket.SO_RCVBUF):
            plain.setsockopt(socket.SOL_SOCKET, buffer, limits.socket_bytes)
        # A client that vanishes silently is detected when sent data is not acknowledged.
        patience = int(1000 * limits.send_seconds)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, patience)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket: Any = plain
        if context:
            self._socket = context.wrap_socket(
                plain, server_side=True, do_handshake_on_connect=False
            )

    def enter(self, state: State, seconds: float = float("inf")) -> None:
        """Enter a state, for at most this many seconds."""
        self.state = state
        self.since = time.monotonic()
        self.deadline = self.since + seconds

    def fileno(self) -> int:
        """The socket's file descriptor, or -1."""
        return int(self._socket.fileno())

    def size(self) -> int:
        """Number of bytes held for the client."""
        body = self.request.held if self.request else 0
        return len(self.inbox) + body + self._waiting

    def shake_hands(self) -> bool:
        """Continue the handshake; return whether it is complete."""
        try:
            self._socket.do_handshake()
        except _LATER as later:
            self._want(later, selectors.EVENT_READ)
            return False
        self.wanted = selectors.EVENT_READ
        return True

    def receive(self) -> bytes | None:
        """Received bytes: empty if the client has disconnected, None if there are no more yet."""
        try:
            data: bytes = self._socket.recv(CHUNK)
        except _LATER as later:
            self._want(later, selectors.EVENT_READ)
            return None
        return data

    def flush(self) -> bool:
        """Send what the client accepts now; return whether that was all."""
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
        """Send everything; raises TimeoutError if the client does not read for too long."""
        while not self.flush():
            poll = select.poll()
            is_read = self.wanted == selectors.EVENT_READ
            poll.register(self._socket, select.POLLIN if is_read else select.POLLOUT)
            if not poll.poll(1000 * self._limits.send_seconds):
                raise TimeoutError

    def finish(self) -> None:
        """Signal the end of the data."""
        if isinstance(self._socket, ssl.SSLSocket):
            with suppress(OSError, ValueError):  # The client's own close is not waited for.
                self._socket.unwrap()
            forget_errors()
        self._socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Close the connection, ignoring errors."""
        self._socket.close()
        forget_errors()

    def is_gone(self) -> bool:
        """Whether the client has disconnected, for answers that send rarely and for long."""
        poll = select.poll()
        poll.register(self._socket, select.POLLRDHUP)
        return bool(poll.poll(0))

    def _want(self, later: Exception, plainly: int) -> None:
        # TLS may have to read in order to write, and vice versa.
        if isinstance(later, ssl.SSLWantReadError):
            self.wanted = selectors.EVENT_READ
        elif isinstance(later, ssl.SSLWantWriteError):
            self.wanted = selectors.EVENT_WRITE
        else:
            self.wanted = plainly

    # The socket interface that gunicorn's Response needs.

    def sendall(self, data: bytes) -> None:
        """Send what the client accepts now, and keep the rest."""
        self._outbox.append(memoryview(data))
        self._waiting += len(data)
        self.flush()

    def send(self, data: bytes) -> None:
        """Drop the data: only `100 Continue` is sent this way, and the body has already arrived."""

    def gettimeout(self) -> float:
        """The socket never blocks."""
        return 0.0
