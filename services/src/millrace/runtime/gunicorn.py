"""Runs a WSGI application under gunicorn with TLS, one process, threads and our logs."""

import os
import ssl
import threading
import time
from pathlib import Path
from typing import Any

from gunicorn import sock
from gunicorn.app.base import BaseApplication
from gunicorn.glogging import Logger
from gunicorn.workers.base import Worker

from millrace.errors import ConfigurationError
from millrace.serving.limits import Limits
from millrace.serving.server import Server

THREADS = 8
STOP_SECONDS = 10
TICK_SECONDS = 1.0


class _Logger(Logger):
    """Logs through the root logger. Requests are not logged, because URLs may contain keys."""

    def setup(self, cfg: Any) -> None:  # noqa: ARG002 - required by the base class
        self.error_log.handlers.clear()
        self.error_log.propagate = True


class _Worker(Worker):
    """Our worker: gunicorn's own give each connection a thread for as long as the client likes."""

    app: "_Application"
    sockets: list[Any]
    _server: Server | None = None

    def run(self) -> None:
        self._server = server = Server(
            self.wsgi,
            [listener.sock for listener in self.sockets],
            self.cfg,
            threads=self.cfg.threads,
            limits=self.app.limits,
            context=sock.ssl_context(self.cfg),
        )
        while self.alive and self.ppid == os.getppid():
            self.notify()
            server.step(TICK_SECONDS)
        server.stop()
        end = time.monotonic() + STOP_SECONDS
        while server.is_busy and time.monotonic() < end:
            self.notify()
            server.step(TICK_SECONDS)
        server.close()

    def handle_exit(self, sig: int, frame: Any) -> None:
        self.app.stop.set()
        super().handle_exit(sig, frame)
        if self._server:
            self._server.wake()


class _Application(BaseApplication):
    def __init__(
        self, app: Any, options: dict[str, Any], stop: threading.Event, limits: Limits
    ) -> None:
        self._app = app
        self._options = options
        self.stop = stop
        self.limits = limits
        super().__init__()

    def load_config(self) -> None:
        for name, value in self._options.items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        return self._app


def serve(
    app: Any,
    port: int,
    certificate: Path,
    key: Path,
    threads: int = THREADS,
    stop: threading.Event | None = None,
    limits: Limits | None = None,
) -> None:
    """Serve the application over HTTPS on all addresses until SIGTERM, which sets `stop`."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)
    except OSError as error:
        raise ConfigurationError(
            f"cannot serve with the certificate {certificate} and the key {key}: {error}"
        ) from None
    _Application(
        app,
        {
            "bind": f"0.0.0.0:{port}",
            "certfile": str(certificate),
            "keyfile": str(key),
            "worker_class": _Worker,
            "threads": threads,
            "graceful_timeout": STOP_SECONDS,
            "worker_tmp_dir": "/dev/shm",  # noqa: S108 - gunicorn's heartbeat: memory, not a disk
            "control_socket_disable": True,
            # There is no proxy in front that sets the path, so such headers are not trusted.
            "forwarder_headers": "",
            "logger_class": _Logger,
        },
        stop or threading.Event(),
        limits or Limits(),
    ).run()
