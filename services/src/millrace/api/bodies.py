"""Bodies of requests: only views that say so take one, and its size is known before it is read."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any, TypeVar

from flask import current_app, request

from millrace.api.problems import Problem

MEDIA_TYPE = "application/json"
LARGEST = 1024 * 1024

View = TypeVar("View", bound=Callable[..., Any])


def takes_json(view: View) -> View:
    """Declare that a view reads a body."""
    view.takes_json = True  # type: ignore[attr-defined]
    return view


def check() -> None:
    """Refuse a body that nobody would read, and one that is too large or of unknown size."""
    if request.endpoint is None:
        return  # There is no such path or method, which is about to be said.
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


def read() -> bytes:
    """The body of this request, which a view that takes one asks for."""
    if request.mimetype != MEDIA_TYPE:
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"The body has to be {MEDIA_TYPE}.")
    return request.get_data(cache=False)
