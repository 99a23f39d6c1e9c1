"""One request to an upstream, limited in time and size, with a single kind of error.

The timeouts of `requests` apply to each read, so an upstream that sends slowly never exceeds them.
Therefore the connection is closed when the total time is over.
"""

import contextlib
import socket
import threading
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any, Self

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from millrace.runtime.redaction import shown
from millrace.sources.base import Transient

TIMEOUTS = (3.0, 7.0)
"""Seconds for the connection, and for each read."""
SECONDS = 20.0
"""Seconds for the whole answer."""
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
SHORTEST_WAIT = timedelta(seconds=1)
DIGITS = 9


@dataclass(frozen=True)
class Answer:
    """A complete answer with any status; if it is longer than requested, its beginning."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def ask(
    url: str,
    *,
    most: int,
    params: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    verify: str | bool = True,
    seconds: float = SECONDS,
) -> Answer:
    """One GET without redirects, reading at most `most` + 1 bytes; Transient if it fails, or takes
    longer than `seconds`.

    The URL may contain a key, and so may exceptions of `requests`: they are neither raised nor
    chained.
    """
    with _Deadline(seconds) as deadline, _Session() as session:
        try:
            with session.get(
                url,
                params=params,
                headers=headers,
                timeout=TIMEOUTS,
                # Passed here, because REQUESTS_CA_BUNDLE in the environment overrides the
                # session's.
                verify=verify,
                allow_redirects=False,
                stream=True,
            ) as response:
                body = response.raw.read(most + 1, decode_content=True)
        except (requests.RequestException, OSError, ValueError) as error:
            wrong = f"no answer: {_reason(error)}"
        except urllib3.exceptions.HTTPError as error:
            wrong = f"broken answer: {type(error).__name__}"
        else:
            wrong = ""
        if deadline.is_over:
            wrong = f"no whole answer within {seconds:.0f} s"
    if wrong:
        raise Transient(wrong)
    return Answer(response.status_code, response.headers, body)


def wait_asked(headers: Mapping[str, str], now: datetime) -> timedelta:
    """How long `Retry-After` asks to wait: from a second to a day; an hour without the header.

    Its value is a number of seconds, or a date in one of the three HTTP formats, always in UTC.
    """
    said = headers.get("Retry-After", "").strip()
    try:
        if said.isascii() and said.isdecimal():
            asked = timedelta(seconds=int(said.lstrip("0")[:DIGITS] or 0))
        else:
            date = parsedate_to_datetime(said)
            asked = (date if date.tzinfo else date.replace(tzinfo=UTC)) - now
        return min(max(asked, SHORTEST_WAIT), DAY)
    except (ValueError, OverflowError):
        return HOUR


def _reason(error: Exception) -> str:
    """Why there was no answer: the innermost reason, which does not contain the URL."""
    cause = getattr(error.args[0] if error.args else None, "reason", None)
    if isinstance(cause, urllib3.exceptions.NewConnectionError):
        # The client's name for itself, and the host, which the caller knows.
        cause = str(cause).removeprefix(f"{cause.conn}: ")
    return shown(cause) if cause else type(error).__name__


class _Deadline:
    """Shuts the watched sockets down when the time is over, which ends a pending read."""

    def __init__(self, seconds: float) -> None:
        self._sockets: list[socket.socket] = []
        self._timer = threading.Timer(seconds, self._cut)
        self._timer.daemon = True
        self.is_over = False

    def __enter__(self) -> Self:
        self._token = _current.set(self)
        self._timer.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._timer.cancel()
        _current.reset(self._token)

    def watch(self, connected: Any) -> None:
        self._sockets.append(connected)
        if self.is_over:
            self._cut()

    def _cut(self) -> None:
        self.is_over = True
        for connected in self._sockets:
            with contextlib.suppress(OSError):
                # With TLS too, only the underlying socket: the TLS state belongs to the reading
                # thread.
                socket.socket.shutdown(connected, socket.SHUT_RDWR)


_current: ContextVar[_Deadline] = ContextVar("deadline")


class _Connection(HTTPConnection):
    def connect(self) -> None:
        super().connect()
        _current.get().watch(self.sock)


class _SecureConnection(HTTPSConnection):
    def connect(self) -> None:
        super().connect()
        _current.get().watch(self.sock)


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


class _Adapter(HTTPAdapter):
    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}


class _Session(requests.Session):
    """A session for one request, because the deadline would cut a reused connection off."""

    def __init__(self) -> None:
        super().__init__()
        self.mount("http://", _Adapter())
        self.mount("https://", _Adapter())

    def get_redirect_target(self, resp: requests.Response) -> None:
        """No target: to find one, the library would read the whole answer, however long it is."""
