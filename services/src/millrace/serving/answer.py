"""Answers a complete request, in a thread of the pool."""

from collections.abc import Callable
from http import HTTPStatus
from io import BytesIO
from typing import Any

from gunicorn.config import Config
from gunicorn.http import wsgi

from millrace.serving import problem
from millrace.serving.connection import Connection
from millrace.serving.request import Request

App = Callable[..., Any]


def answer(
    app: App, connection: Connection, request: Request, name: Any, cfg: Config, *, is_last: bool
) -> bool:
    """Answer a request; return whether another may follow.

    Raises OSError if the client is gone or does not read, and the application's errors, after the
    client was sent an error.
    """
    client: Any = connection
    response, environ = wsgi.create(request.message, client, connection.address, name, cfg)
    environ["wsgi.multithread"] = True
    if request.is_whole:
        environ["wsgi.input"] = BytesIO(request.take_body())
    if is_last or not request.is_whole:
        response.force_close()
    try:
        parts = app(environ, response.start_response)
        try:
            for part in parts:
                response.write(part)
                if response.response_length is None:
                    connection.wait()  # The answer continues for an unknown time.
            response.close()
        finally:
            if hasattr(parts, "close"):
                parts.close()
    except OSError:
        raise
    except Exception:
        if not response.headers_sent:
            say(connection, HTTPStatus.INTERNAL_SERVER_ERROR)
        raise
    return not response.should_close()


def say(connection: Connection, status: HTTPStatus) -> None:
    """Answer with only a status and its problem document; no request may follow."""
    body = problem.document(status, status.description)
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}",
        "Connection: close",
        f"Content-Type: {problem.MEDIA_TYPE}",
        f"Content-Length: {len(body)}",
        "\r\n",
    )
    connection.sendall("\r\n".join(head).encode() + body)
