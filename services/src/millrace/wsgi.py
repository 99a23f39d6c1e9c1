"""Runs a WSGI application under gunicorn: TLS, one process, threads, logs like everything else."""

import signal
import threading
from pathlib import Path
from typing import Any

from gunicorn.app.base import BaseApplication
from gunicorn.glogging import Logger

THREADS = 8
STOP_SECONDS = 10


class _Logger(Logger):
    """Leaves the output to the root logger. Requests are not logged: their URLs may hold keys."""

    def setup(self, cfg: Any) -> None:  # noqa: ARG002 - required by the base class
        self.error_log.handlers.clear()
        self.error_log.propagate = True


class _Server(BaseApplication):
    def __init__(self, app: Any, options: dict[str, Any]) -> None:
        self._app = app
        self._options = options
        super().__init__()

    def load_config(self) -> None:
        for name, value in self._options.items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        return self._app


def _announces(stop: threading.Event) -> Any:
    """A hook that has the worker set `stop` when it is told to end."""

    def hook(worker: Any) -> None:
        def on_signal(number: int, frame: Any) -> None:
            stop.set()
            worker.handle_exit(number, frame)

        signal.signal(signal.SIGTERM, on_signal)

    return hook


def serve(
    app: Any,
    port: int,
    certificate: Path,
    key: Path,
    threads: int = THREADS,
    stop: threading.Event | None = None,
) -> None:
    """Serve the application over HTTPS on all addresses until SIGTERM, which sets `stop`."""
    _Server(
        app,
        {
            "bind": f"0.0.0.0:{port}",
            "certfile": str(certificate),
            "keyfile": str(key),
            "worker_class": "gthread",
            "threads": threads,
            "graceful_timeout": STOP_SECONDS,
            "worker_tmp_dir": "/dev/shm",  # noqa: S108 - gunicorn's heartbeat: memory, not a disk
            "control_socket_disable": True,
            "logger_class": _Logger,
            "post_worker_init": _announces(stop or threading.Event()),
        },
    ).run()
