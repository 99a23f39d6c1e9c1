"""Faults on request: the simulator answers the next requests as an upstream does that is unwell."""

import threading
from collections import deque
from collections.abc import Callable, Mapping

from flask import Blueprint, Response, abort, jsonify

Fault = Callable[[Response], Response]
"""Makes the answer that is sent of the answer that would have been sent."""

MOST = 1000


class Faults:
    """The faults that wait, first asked first served, for one API."""

    def __init__(self, known: Mapping[str, Fault]) -> None:
        self.known = known
        self._waiting: deque[str] = deque()
        self._lock = threading.Lock()

    def ask(self, name: str, count: int) -> None:
        """Let the next `count` requests meet this fault."""
        with self._lock:
            self._waiting.extend([name] * count)

    def clear(self) -> None:
        """Be well again."""
        with self._lock:
            self._waiting.clear()

    def apply(self, response: Response) -> Response:
        """The answer, spoilt if a fault waits."""
        with self._lock:
            name = self._waiting.popleft() if self._waiting else None
        return self.known[name](response) if name else response


def blueprint(apis: Mapping[str, Faults]) -> Blueprint:
    """`GET /faults`, `POST /faults/<api>/<fault>[/<count>]`, `DELETE /faults`."""
    pages = Blueprint("faults", __name__)

    @pages.get("/faults")
    def known() -> Response:
        return jsonify({api: sorted(faults.known) for api, faults in apis.items()})

    @pages.post("/faults/<api>/<fault>", defaults={"count": 1})
    @pages.post("/faults/<api>/<fault>/<int:count>")
    def ask(api: str, fault: str, count: int) -> tuple[str, int]:
        if api not in apis or fault not in apis[api].known or not 0 < count <= MOST:
            abort(404)
        apis[api].ask(fault, count)
        return "", 204

    @pages.delete("/faults")
    def clear() -> tuple[str, int]:
        for faults in apis.values():
            faults.clear()
        return "", 204

    return pages


def html_502(_response: Response) -> Response:
    """What a proxy in front of the API says when the API is away."""
    page = "<html><head><title>502 Bad Gateway</title></head><body>Bad gateway</body></html>"
    return Response(page, status=502, mimetype="text/html")


def html_200(_response: Response) -> Response:
    """A maintenance page, with the status of success."""
    return Response("<html><body>We will be back soon</body></html>", mimetype="text/html")


def truncated(response: Response) -> Response:
    """The connection's other end gave up half-way."""
    body = response.get_data()
    return Response(body[: len(body) // 2], mimetype="application/json")


def too_many(_response: Response) -> Response:
    """A throttle that speaks HTTP."""
    return Response("{}", status=429, headers={"Retry-After": "30"}, mimetype="application/json")
