"""The server: one thread that waits for all clients, and a pool that answers complete requests."""

import queue
import selectors
import socket
import ssl
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial

import structlog
from gunicorn.config import Config

from millrace.serving.answer import App, answer, say
from millrace.serving.connection import Connection, State, forget_errors
from millrace.serving.limits import Limits
from millrace.serving.request import CONTINUE, Refused, Request, take_head

log = structlog.get_logger(__name__)

ACCEPTED_AT_ONCE = 32
DISCARDED_AT_ONCE = 16
SAID_SECONDS = 60.0
READ = selectors.EVENT_READ


class Server:
    """Serves while `step` is called; then call `stop`, `step` while it `is_busy`, and `close`.

    One thread calls all of them, except `wake`.
    """

    def __init__(
        self,
        app: App,
        listeners: Sequence[socket.socket],
        cfg: Config,
        *,
        threads: int,
        limits: Limits,
        context: ssl.SSLContext | None = None,
    ) -> None:
        self._app = app
        self._cfg = cfg
        self._limits = limits
        self._context = context
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="request")
        self._answered: queue.SimpleQueue[Connection] = queue.SimpleQueue()
        self._connections: set[Connection] = set()
        self._is_stopping = False
        self._is_closed = False
        self._said_at = float("-inf")
        self._poller = selectors.DefaultSelector()
        self._woken, self._waker = socket.socketpair()
        self._woken.setblocking(False)
        self._waker.setblocking(False)
        self._poller.register(self._woken, READ, self._take_answered)
        self._listeners = list(listeners)
        self._name = listeners[0].getsockname()
        for listener in self._listeners:
            listener.setblocking(False)
            self._poller.register(listener, READ, partial(self._accept, listener))

    @property
    def is_busy(self) -> bool:
        """Whether any client still waits for an answer, or has not received all of it."""
        return bool(self._connections)

    def step(self, seconds: float) -> None:
        """Wait at most this long, handle ready connections, and close those past their deadline."""
        for key, _ in self._poller.select(seconds):
            key.data()
        now = time.monotonic()
        for connection in [c for c in self._connections if c.deadline <= now]:
            self._drop(connection)

    def wake(self) -> None:
        """Wake a waiting `step`."""
        with suppress(OSError):  # The socket is full, which wakes it too, or closed.
            self._waker.send(b"\0")

    def stop(self) -> None:
        """Accept no more connections or requests."""
        self._is_stopping = True
        for listener in self._listeners:
            self._poller.unregister(listener)
            listener.close()
        for connection in list(self._connections):
            if connection.state in (State.HANDSHAKE, State.IDLE, State.HEAD):
                self._drop(connection)

    def close(self) -> None:
        """Close all connections; those that a thread still answers, when it has finished."""
        self._is_closed = True
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._close_answered()
        for connection in [c for c in self._connections if c.state is not State.ANSWERING]:
            self._drop(connection)
        self._poller.close()
        self._woken.close()
        self._waker.close()

    def _accept(self, listener: socket.socket) -> None:
        for _ in range(ACCEPTED_AT_ONCE):
            try:
                plain, address = listener.accept()
            except OSError:
                return  # There is no connection, or no more.
            if len(self._connections) >= self._limits.connections and not self._make_room():
                plain.close()
                continue
            try:
                connection = Connection(plain, address, self._context, self._limits)
            except OSError:
                plain.close()  # The client has already disconnected.
                continue
            seconds = self._limits.handshake_seconds if self._context else self._limits.head_seconds
            connection.enter(connection.state, seconds)
            self._connections.add(connection)
            self._go_on(connection)

    def _go_on(self, connection: Connection) -> None:
        """Handle a connection as far as possible now, and watch it for more."""
        if connection not in self._connections:
            return  # It was just closed to make room: its file descriptor may be reused.
        try:
            self._advance(connection)
        except (OSError, ValueError):
            self._drop(connection)
        except Exception:
            log.exception("connection failed")
            self._drop(connection)

    def _advance(self, connection: Connection) -> None:
        if connection.state is State.HANDSHAKE:
            if not connection.shake_hands():
                return self._watch(connection)
            connection.enter(State.HEAD, self._limits.head_seconds)
        if connection.state is State.SENDING:
            if not connection.flush():
                return self._watch(connection)
            if not connection.is_kept or self._is_stopping:
                connection.finish()
                connection.enter(State.CLOSING, self._limits.linger_seconds)
            else:
                connection.enter(State.IDLE, self._limits.idle_seconds)
        if connection.state is State.CLOSING:
            return self._discard(connection)
        return self._read(connection)

    def _discard(self, connection: Connection) -> None:
        # With unread bytes the kernel would reset the connection, and the answer would be lost.
        for _ in range(DISCARDED_AT_ONCE):
            data = connection.receive()
            if data == b"":
                return self._drop(connection)
            if data is None:
                break
        return self._watch(connection)

    def _read(self, connection: Connection) -> None:
        try:
            while not (request := self._whole_request(connection)):
                data = connection.receive()
                if data is None:
                    self._watch(connection)
                    return self._bound_bytes()
                if not data:
                    return self._drop(connection)
                connection.inbox += data
        except Refused as refused:
            say(connection, refused.status)
            connection.is_kept = False
            return self._send(connection)
        self._unwatch(connection)
        connection.enter(State.ANSWERING)
        answered = self._pool.submit(self._answer, connection, request)
        answered.add_done_callback(lambda _: self._hand_back(connection))
        return None

    def _whole_request(self, connection: Connection) -> Request | None:
        """The complete request, if there is one; raises Refused if it can never be complete."""
        inbox = connection.inbox
        if connection.state is State.IDLE and inbox:
            connection.enter(State.HEAD, self._limits.head_seconds)
        if connection.request is None:
            head = take_head(inbox, self._limits)
            if head is None:
                return None
            connection.request = Request(head, self._cfg, connection.address, self._limits)
            connection.enter(State.BODY, self._limits.body_seconds)
        request = connection.request
        request.feed(inbox)
        if request.missing and request.awaits_continue:
            request.awaits_continue = False
            connection.sendall(CONTINUE)
        return None if request.missing else request

    def _answer(self, connection: Connection, request: Request) -> None:
        """Answer a request; runs in the pool."""
        connection.is_kept = False
        try:
            connection.is_kept = answer(
                self._app, connection, request, self._name, self._cfg, is_last=self._is_stopping
            )
        except OSError:
            forget_errors()
            connection.is_lost = True
        except Exception:
            log.exception("request failed")

    def _hand_back(self, connection: Connection) -> None:
        """Return a connection to the server; runs in the pool, or when an answer is cancelled."""
        self._answered.put(connection)
        self.wake()
        if self._is_closed:  # The server's thread handles no more connections.
            self._close_answered()

    def _close_answered(self) -> None:
        with suppress(queue.Empty):
            while True:
                self._answered.get_nowait().close()

    def _take_answered(self) -> None:
        with suppress(BlockingIOError):
            self._woken.recv(4096)
        while not self._answered.empty():
            connection = self._answered.get()
            connection.request = None
            if connection.is_lost:
                self._drop(connection)
            else:
                self._send(connection)
        self._bound_bytes()

    def _send(self, connection: Connection) -> None:
        connection.enter(State.SENDING, self._limits.send_seconds)
        self._go_on(connection)

    def _bound_bytes(self) -> None:
        while sum(c.size() for c in self._connections) > self._limits.total_bytes:
            if not self._make_room(lambda connection: connection.size() > 0):
                return

    def _make_room(self, may_go: Callable[[Connection], bool] = lambda _: True) -> bool:
        """Close the connection that has waited longest for its client, if any."""
        waiting = [c for c in self._connections if c.state is not State.ANSWERING and may_go(c)]
        if not waiting:
            return False
        harmless = (State.IDLE, State.CLOSING)
        self._drop(min(waiting, key=lambda c: (c.state not in harmless, c.since)))
        if time.monotonic() - self._said_at > SAID_SECONDS:
            self._said_at = time.monotonic()
            log.warning("too many slow clients: those are closed that have waited the longest")
        return True

    def _watch(self, connection: Connection) -> None:
        again = partial(self._go_on, connection)
        try:
            self._poller.modify(connection, connection.wanted, again)
        except KeyError:
            self._poller.register(connection, connection.wanted, again)

    def _unwatch(self, connection: Connection) -> None:
        with suppress(KeyError, ValueError):
            self._poller.unregister(connection)

    def _drop(self, connection: Connection) -> None:
        self._unwatch(connection)
        self._connections.discard(connection)
        connection.close()
