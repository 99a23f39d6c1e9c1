"""The server: one thread that waits for all clients, and a pool that answers whole requests."""

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
    """Serves while somebody calls `step`; then `stop`, and `step` while it `is_busy`; then `close`.

    All of them are called by one thread, except `wake`.
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
        """Whether anybody still waits for an answer, or to take one."""
        return bool(self._connections)

    def step(self, seconds: float) -> None:
        """Wait for so long at most, do what there is to do, and hang up on who is late."""
        for key, _ in self._poller.select(seconds):
            key.data()
        now = time.monotonic()
        for connection in [c for c in self._connections if c.deadline <= now]:
            self._drop(connection)

    def wake(self) -> None:
        """Have the `step` that waits go on."""
        with suppress(OSError):  # It is full, so that it goes on, or closed.
            self._waker.send(b"\0")

    def stop(self) -> None:
        """Take no more connections nor requests."""
        self._is_stopping = True
        for listener in self._listeners:
            self._poller.unregister(listener)
            listener.close()
        for connection in list(self._connections):
            if connection.state in (State.HANDSHAKE, State.IDLE, State.HEAD):
                self._drop(connection)

    def close(self) -> None:
        """Hang up on whoever is left; on those whom a thread still answers, when it has."""
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
                return  # There is none, or no more.
            if len(self._connections) >= self._limits.connections and not self._make_room():
                plain.close()
                continue
            try:
                connection = Connection(plain, address, self._context, self._limits)
            except OSError:
                plain.close()  # The client has hung up already.
                continue
            seconds = self._limits.handshake_seconds if self._context else self._limits.head_seconds
            connection.enter(connection.state, seconds)
            self._connections.add(connection)
            self._go_on(connection)

    def _go_on(self, connection: Connection) -> None:
        """Do what can be done with a connection now, and watch for when there is more."""
        if connection not in self._connections:
            return  # It had to make room a moment ago: its file descriptor may be another's.
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
        # Unread bytes would have the kernel reset the connection, and the answer be lost.
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
        """The request that is here as a whole, if one is; Refused if none will be."""
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
        """Runs in the pool."""
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
        """Runs in the pool, or where an answer that has not begun is called off."""
        self._answered.put(connection)
        self.wake()
        if self._is_closed:  # Nobody takes it any more.
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
        """Hang up on the one that has waited the longest for its client, if there is any."""
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
