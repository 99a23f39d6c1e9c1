"""Faults on request: the simulator answers the next requests like a failing upstream."""

import threading
from collections import deque
from collections.abc import Callable, Mapping

from flask import Blueprint, Response, abort, jsonify

Fault = Callable[[Response], Response]
"""Converts the regular answer to the faulty one."""

MOST = 1000


class Faults:
    """The pending faults of one API, in the order of their requests."""

    def __init__(self, known: Mapping[str, Fault]) -> None:
        self.known = known
        self._waiting: deque[str] = deque()
        self._lock = threading.Lock()

    def ask(self, name: str, count: int) -> None:
        """Apply this fault to the next `count` requests."""
        with self._lock:
            self._waiting.extend([name] * count)

    def clear(self) -> None:
        """Remove all pending faults."""
        with self._lock:
            self._waiting.clear()

    def apply(self, response: Response) -> Response:
        """The answer, made faulty if a fault is pending."""
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
    """The answer of a proxy in front of the API when the API is unavailable."""
    page = "<html><head><title>502 Bad Gateway</title></head><body>Bad gateway</body></html>"
    return Response(page, status=502, mimetype="text/html")


def html_200(_response: Response) -> Response:
    """A maintenance page, with the status of success."""
    return Response("<html><body>We will be back soon</body></html>", mimetype="text/html")


def truncated(response: Response) -> Response:
    """An answer that is cut off half-way."""
    body = response.get_data()
    return Response(body[: len(body) // 2], mimetype="application/json")


def too_many(_response: Response) -> Response:
    """A rate limit with the proper HTTP status."""
    return Response("{}", status=429, headers={"Retry-After": "30"}, mimetype="application/json")
