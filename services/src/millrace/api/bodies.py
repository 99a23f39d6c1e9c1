"""Request bodies: only views that declare it accept one, and its size is known in advance."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any, TypeVar

from flask import current_app, request

from millrace.api.problems import Problem

MEDIA_TYPE = "application/json"
LINES = ("application/x-ndjson", "application/ndjson", "application/jsonl")
CHARSETS = ("utf-8", "utf8", "us-ascii", "ascii")
PLAIN = "identity"
LARGEST = 1024 * 1024

View = TypeVar("View", bound=Callable[..., Any])


def takes_json(view: View) -> View:
    """Declare that a view accepts a body."""
    view.takes_json = True  # type: ignore[attr-defined]
    return view


def check() -> None:
    """Refuse a body that the view does not accept, or that is too large or of unknown size."""
    if request.endpoint is None:
        return  # The path or method is unknown, which is reported next.
    view = current_app.view_functions[request.endpoint]
    is_chunked = "Transfer-Encoding" in request.headers
    length = request.content_length or 0
    if not hasattr(view, "takes_json"):
        if length or is_chunked:
            raise Problem(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "No request to this path has a body."
            )
    elif is_chunked:
        raise Problem(HTTPStatus.LENGTH_REQUIRED, "The body's Content-Length is needed.")
    elif length > LARGEST:
        raise Problem(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"The body is larger than {LARGEST} bytes."
        )


def read(*others: str) -> tuple[str, bytes]:
    """The media type of this request's body, and the body."""
    if request.mimetype not in (MEDIA_TYPE, *others):
        known = " or ".join((MEDIA_TYPE, *others[:1]))
        raise _unsupported(f"The body's Content-Type has to be {known}.")
    charset = request.mimetype_params.get("charset", "utf-8")
    if charset.lower() not in CHARSETS:
        raise _unsupported("The body has to be in UTF-8.")
    if request.headers.get("Content-Encoding", PLAIN).lower() != PLAIN:
        detail = "The body has to be sent as it is, without a Content-Encoding such as gzip."
        raise _unsupported(detail, {"Accept-Encoding": PLAIN})
    return request.mimetype, request.get_data(cache=False)


def _unsupported(detail: str, headers: dict[str, str] | None = None) -> Problem:
    return Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, detail, headers)
