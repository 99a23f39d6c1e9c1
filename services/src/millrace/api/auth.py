"""Bearer tokens. Every view declares who may use it; a view that does not is an error at start."""

import hashlib
import hmac
from collections.abc import Callable, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
from flask import Flask, current_app, g, request

from millrace.api.problems import Problem
from millrace.errors import ConfigurationError

READ = "read"
INGEST = "ingest"
PUBLIC = ""

View = TypeVar("View", bound=Callable[..., Any])


class Token(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An accepted token, of which only the hash is known."""

    id: Annotated[str, msgspec.Meta(min_length=1, max_length=40)]
    """The name of the token, which is in the source of its events."""
    sha256: str
    scopes: list[str]


def load_tokens(path: Path) -> list[Token]:
    """Read the accepted tokens."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=list[Token])
    except (OSError, msgspec.DecodeError) as error:
        raise ConfigurationError(f"API tokens in {path}: {error}") from error


def scope(name: str) -> Callable[[View], View]:
    """Declare the scope that a token needs for a view."""

    def mark(view: View) -> View:
        view.required_scope = name  # type: ignore[attr-defined]
        return view

    return mark


def public(view: View) -> View:
    """Declare that a view needs no token; a given token must still be valid."""
    return scope(PUBLIC)(view)


def required_scope(app: Flask, endpoint: str) -> str:
    """The scope that an endpoint declares; KeyError if it declares none."""
    view = app.view_functions[endpoint]
    if not hasattr(view, "required_scope"):
        raise KeyError(endpoint)
    return str(view.required_scope)


def protect(app: Flask, tokens: Sequence[Token]) -> None:
    """Check the token of each request before its view runs. Call after the views are registered."""
    for rule in app.url_map.iter_rules():
        required_scope(app, rule.endpoint)

    @app.before_request
    def check() -> None:
        g.token = _authenticate(request.headers.get("Authorization"), tokens)
        if request.endpoint is None:
            return
        needed = required_scope(current_app, request.endpoint)
        if needed == PUBLIC:
            return
        if g.token is None:
            raise _unauthorized("A bearer token is needed.", "")
        if needed not in g.token.scopes:
            raise Problem(
                HTTPStatus.FORBIDDEN,
                f"The token lacks the scope {needed}.",
                {
                    "WWW-Authenticate": 'Bearer realm="millrace", error="insufficient_scope", '
                    f'scope="{needed}"'
                },
            )


def is_authenticated() -> bool:
    """Whether this request has a valid token that may read."""
    return g.token is not None and READ in g.token.scopes


def _authenticate(header: str | None, tokens: Sequence[Token]) -> Token | None:
    if header is None:
        return None
    kind, _, presented = header.partition(" ")
    if kind.lower() != "bearer" or not presented:
        raise _unauthorized("Only bearer tokens are accepted.", "")
    digest = hashlib.sha256(presented.strip().encode()).hexdigest()
    # All tokens are compared, each in constant time, so that the time reveals nothing.
    matches = [token for token in tokens if hmac.compare_digest(token.sha256, digest)]
    if not matches:
        raise _unauthorized("The token is not known.", ', error="invalid_token"')
    return matches[0]


def _unauthorized(detail: str, parameters: str) -> Problem:
    challenge = {"WWW-Authenticate": f'Bearer realm="millrace"{parameters}'}
    return Problem(HTTPStatus.UNAUTHORIZED, detail, challenge)
