# SPDX-License-Identifier: Apache-2.0
"""Requests to a Docker engine through its socket, with the standard library only."""

from __future__ import annotations

import http.client
import socket
from contextlib import closing


class Engine(http.client.HTTPConnection):
    """A connection to the socket. Refusals raise their own subclass of OSError."""

    def __init__(self, path: str, timeout: float) -> None:
        """Store the path of the socket."""
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self) -> None:
        """Connect to the socket."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def ask(
    engine_socket: str, timeout: float, method: str, target: str, **headers: str
) -> tuple[int, bytes]:
    """Send one request; return status and body.

    Raises OSError: FileNotFoundError or ConnectionRefusedError if no engine runs,
    PermissionError if access is denied, TimeoutError if it sends nothing for `timeout` s,
    ConnectionError if it ends in the middle of an answer.
    """
    with closing(Engine(engine_socket, timeout)) as engine:
        try:
            engine.request(method, target, headers=headers)
            answer = engine.getresponse()
            return answer.status, answer.read()
        except TimeoutError as error:
            raise TimeoutError(f"the Docker engine did not answer for {timeout:.0f} s") from error
        except http.client.HTTPException as error:
            raise ConnectionError(f"the Docker engine broke off its answer: {error}") from error
