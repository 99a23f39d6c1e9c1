"""CORS: only pages of listed origins may use the API from a browser.

Pages send the token themselves; without cookies no page can act on behalf of another.
"""

from collections.abc import Collection
from http import HTTPStatus

from flask import Flask, Response, request

HEADERS = {
    "Access-Control-Allow-Methods": "GET, HEAD, POST",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, Last-Event-ID",
    "Access-Control-Max-Age": "600",
}
SHOWN = "Retry-After"
"""Response headers that a page may read, in addition to the default ones."""


def allow(app: Flask, origins: Collection[str]) -> None:
    """Let pages of these origins use all routes. Call before other checks of requests are added."""
    if not origins:
        return

    @app.before_request
    def preflight() -> Response | None:
        asks = "Access-Control-Request-Method" in request.headers
        if request.method == "OPTIONS" and asks and request.origin in origins:
            return Response(status=HTTPStatus.NO_CONTENT, headers=HEADERS)
        return None

    @app.after_request
    def name_origin(response: Response) -> Response:
        response.vary.add("Origin")
        if request.origin in origins:
            response.headers["Access-Control-Allow-Origin"] = request.origin
            response.headers["Access-Control-Expose-Headers"] = SHOWN
        return response
