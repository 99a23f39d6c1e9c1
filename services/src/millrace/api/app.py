"""The Flask application."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from flask import Flask, Response, request

from millrace.api import auth, events, gpus, health, openapi, problems
from millrace.api.auth import Token
from millrace.api.ports import Dependencies
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
    feeds: Sequence[Feed[Any]], tokens: Sequence[Token], dependencies: Dependencies
) -> Flask:
    """Make the application; nothing is connected to before a request needs it."""
    app = Flask(__name__, static_folder=None)
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
    problems.register(app)
    app.before_request(_refuse_bodies)
    app.after_request(_add_headers)
    app.register_blueprint(health.blueprint(health.Health(dependencies)))
    app.register_blueprint(events.blueprint(feeds, dependencies.store))
    app.register_blueprint(gpus.blueprint(feeds, dependencies.store))
    app.register_blueprint(openapi.blueprint([feed.name for feed in feeds]))
    auth.protect(app, tokens)
    return app


def _refuse_bodies() -> None:
    if request.content_length or "Transfer-Encoding" in request.headers:
        raise problems.Problem(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "No request to this API has a body."
        )


def _add_headers(response: Response) -> Response:
    response.headers.update(HEADERS)
    return response
