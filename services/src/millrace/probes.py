"""The small HTTP server that tells how a service is: /live, /ready, /status and /metrics."""

import json
import threading
from collections.abc import Callable, Iterable, Mapping
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

Check = Callable[[], str | None]
"""Says what is wrong, or None."""
Status = Callable[[], Mapping[str, Any]]


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, *_args: Any) -> None:
        """Health checks come every few seconds: nobody reads about them."""


class Probes:
    """Serves on a thread of its own from the moment it is made until `close`."""

    def __init__(
        self, port: int, *, live: Check, ready: Check, status: Status, registry: CollectorRegistry
    ) -> None:
        self._checks = {"/live": live, "/ready": ready}
        self._status = status
        self._registry = registry
        self._server = make_server("", port, self._answer, _Server, _Quiet)
        self.port = self._server.server_port
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="probes", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _answer(self, environ: Mapping[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        status, kind, body = self._page(environ["PATH_INFO"])
        start(status, [("Content-Type", kind), ("Content-Length", str(len(body)))])
        return [body]

    def _page(self, path: str) -> tuple[str, str, bytes]:
        if path in self._checks:
            wrong = self._checks[path]()
            status = "503 Service Unavailable" if wrong else "200 OK"
            return status, "text/plain; charset=utf-8", f"{wrong or 'ok'}\n".encode()
        if path == "/status":
            return "200 OK", "application/json", json.dumps(self._status(), default=str).encode()
        if path == "/metrics":
            return "200 OK", CONTENT_TYPE_LATEST, generate_latest(self._registry)
        return "404 Not Found", "text/plain; charset=utf-8", b"not here\n"
