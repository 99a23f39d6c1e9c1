"""The HTTP server of a service's status: /live, /ready, /status and /metrics."""

import json
import socket
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from gunicorn.config import Config
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from millrace.runtime.redaction import scrub
from millrace.serving.limits import Limits
from millrace.serving.server import Server

Check = Callable[[], str | None]
"""Returns the problem, or None."""
Status = Callable[[], Mapping[str, Any]]

THREADS = 8
TICK_SECONDS = 1.0
LIMITS = Limits(connections=64, body_bytes=0)


class Probes:
    """Serves in a separate thread from its creation until `close`."""

    def __init__(
        self,
        port: int,
        *,
        live: Check,
        ready: Check,
        status: Status,
        registry: CollectorRegistry,
        limits: Limits = LIMITS,
    ) -> None:
        self._checks = {"/live": live, "/ready": ready}
        self._status = status
        self._registry = registry
        listener = socket.create_server(("", port))
        self.port: int = listener.getsockname()[1]
        self._server = Server(self._answer, [listener], Config(), threads=THREADS, limits=limits)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="probes", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        self._closing.set()
        self._server.wake()
        self._thread.join()

    def _serve(self) -> None:
        while not self._closing.is_set():
            self._server.step(TICK_SECONDS)
        self._server.stop()
        self._server.close()

    def _answer(self, environ: Mapping[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        status, kind, body = self._page(environ["PATH_INFO"])
        start(status, [("Content-Type", kind), ("Content-Length", str(len(body)))])
        return [body]

    def _page(self, path: str) -> tuple[str, str, bytes]:
        if path in self._checks:
            wrong = self._checks[path]()
            status = "503 Service Unavailable" if wrong else "200 OK"
            return (
                status,
                "text/plain; charset=utf-8",
                f"{scrub(wrong) if wrong else 'ok'}\n".encode(),
            )
        if path == "/status":
            shown = scrub(json.dumps(self._status(), default=str))
            return "200 OK", "application/json", shown.encode()
        if path == "/metrics":
            return "200 OK", CONTENT_TYPE_LATEST, generate_latest(self._registry)
        return "404 Not Found", "text/plain; charset=utf-8", b"not here\n"
