"""All errors are problem documents (RFC 9457)."""

from http import HTTPStatus
from typing import Any

import structlog
from flask import Flask, Response
from werkzeug.exceptions import HTTPException

from millrace.serving.problem import MEDIA_TYPE, document

log = structlog.get_logger(__name__)


class Problem(Exception):
    """An answer that describes an error of the request, or of the API."""

    def __init__(self, status: HTTPStatus, detail: str, headers: dict[str, str] | None = None):
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers or {}


def bad_request(detail: str) -> Problem:
    """The problem of an invalid request."""
    return Problem(HTTPStatus.BAD_REQUEST, detail)


def unavailable(detail: str) -> Problem:
    """The problem of a dependency that is temporarily unavailable."""
    return Problem(HTTPStatus.SERVICE_UNAVAILABLE, detail, {"Retry-After": "5"})


def answer(status: int, detail: str, headers: dict[str, str] | None = None) -> Response:
    """The problem document."""
    return Response(document(status, detail), status, headers, mimetype=MEDIA_TYPE)


def register(app: Flask) -> None:
    """Answer all errors of the application with problem documents."""
    app.register_error_handler(Problem, _on_problem)
    app.register_error_handler(HTTPException, _on_http_exception)
    app.register_error_handler(Exception, _on_exception)


def _on_problem(problem: Problem) -> Response:
    return answer(problem.status, problem.detail, problem.headers)


def _on_http_exception(error: HTTPException) -> Any:
    if error.code is None or error.code < HTTPStatus.BAD_REQUEST:
        return error
    allowed = getattr(error, "valid_methods", None)
    headers = {"Allow": ", ".join(sorted(allowed))} if allowed else {}
    return answer(error.code, error.description or "", headers)


def _on_exception(error: Exception) -> Response:
    log.error("request failed", exc_info=error)
    return answer(HTTPStatus.INTERNAL_SERVER_ERROR, "The error is in the log of the API.")
