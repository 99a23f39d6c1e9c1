"""The simulator as a test runs it: over HTTP on loopback, with a clock that the test sets."""

import threading
from datetime import UTC, datetime
from typing import Any

import requests
from werkzeug.serving import make_server

from millrace.simulator import create_app

# A Friday, while shares trade in New York.
NOON = datetime(2026, 11, 20, 17, 0, 30, tzinfo=UTC).timestamp()


class Simulator:
    """The simulator, its clock and its faults."""

    def __init__(self) -> None:
        self.now = NOON
        self._server = make_server(
            "127.0.0.1", 0, create_app(60.0, lambda: self.now), threaded=True
        )
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def fault(self, api: str, name: str) -> None:
        """Spoil the next answer of this API."""
        response = requests.post(f"{self.url}/faults/{api}/{name}", timeout=5)
        response.raise_for_status()

    def get(self, path: str, **params: str) -> Any:
        """What the simulator answers to a bare request."""
        return requests.get(self.url + path, params=params, timeout=5).json()

    def close(self) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
