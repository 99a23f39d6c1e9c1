"""The Flask application."""

import threading
from collections.abc import Collection, Sequence
from typing import Any

from flask import Flask, Response

from millrace.api import (
    auth,
    bodies,
    cors,
    events,
    gpus,
    health,
    ingest,
    latest,
    openapi,
    problems,
    stream,
)
from millrace.api.auth import Token
from millrace.api.dependencies import Dependencies
from millrace.feeds.base import Feed

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Strict-Transport-Security": "max-age=31536000",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def create_app(
    feeds: Sequence[Feed[Any]],
    tokens: Sequence[Token],
    dependencies: Dependencies,
    stale_seconds: float,
    stop: threading.Event,
    origins: Collection[str],
) -> Flask:
    """Create the application; connections are made when a request needs them.

    Long answers end when `stop` is set. Web pages of `origins` may use the API.
    """
    app = Flask(__name__, static_folder=None)
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
    problems.register(app)
    cors.allow(app, origins)
    app.before_request(bodies.check)
    app.after_request(_add_headers)
    app.register_blueprint(health.blueprint(health.Health(dependencies)))
    app.register_blueprint(events.blueprint(feeds, dependencies.store))
    app.register_blueprint(latest.blueprint(feeds, dependencies, stale_seconds))
    app.register_blueprint(stream.blueprint(feeds, dependencies, stop))
    app.register_blueprint(ingest.blueprint(feeds, dependencies.log))
    app.register_blueprint(gpus.blueprint(feeds, dependencies.store))
    app.register_blueprint(openapi.blueprint([feed.name for feed in feeds]))
    auth.protect(app, tokens)
    return app


def _add_headers(response: Response) -> Response:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    return response
