"""One request to an upstream: bounded in time and bytes, and with one error if it brings nothing.

The time-outs of `requests` are for one read: an upstream that dribbles keeps to them for months. So
the connection is cut off when the time is over, whatever is read of it then.
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
"""Seconds to connect, and between two reads."""
SECONDS = 20.0
"""For the whole answer."""
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
SHORTEST_WAIT = timedelta(seconds=1)
DIGITS = 9


@dataclass(frozen=True)
class Answer:
    """A whole answer, whatever its status; of a longer one than asked for, the beginning."""

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
) -> Answer:
    """One GET, not redirected, and at most `most` + 1 bytes of the answer; Transient if it is none.

    The URL may carry a key, and so may the exceptions of `requests`: none is left, nor chained.
    """
    with _Deadline(SECONDS) as deadline, _Session() as session:
        try:
            with session.get(
                url,
                params=params,
                headers=headers,
                timeout=TIMEOUTS,
                # Given here: REQUESTS_CA_BUNDLE in the environment overrides the session's.
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
            wrong = f"no whole answer within {SECONDS:.0f} s"
    if wrong:
        raise Transient(wrong)
    return Answer(response.status_code, response.headers, body)


def wait_asked(headers: Mapping[str, str], now: datetime) -> timedelta:
    """How long `Retry-After` asks to wait: a second to a day, an hour if it does not say.

    It says seconds in digits alone, or a date in one of the three forms of HTTP: always in UTC.
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
    """Why there was no answer: the innermost reason does not know the URL."""
    cause = getattr(error.args[0] if error.args else None, "reason", None)
    return shown(cause) if cause else type(error).__name__


class _Deadline:
    """Shuts the sockets that it watches when the time is over: whoever reads is at the end then."""

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
                # Of TLS, too, only the socket below: what TLS knows belongs to who reads.
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
    """For one request. A connection that is kept would be cut off in the midst of the next."""

    def __init__(self) -> None:
        super().__init__()
        self.mount("http://", _Adapter())
        self.mount("https://", _Adapter())

    def get_redirect_target(self, resp: requests.Response) -> None:
        """Nowhere: to say where, the library reads all of the answer, however long it is."""
