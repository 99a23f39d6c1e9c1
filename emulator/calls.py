"""Records every API call, so that the operator's policy can be derived from them."""

from __future__ import annotations

import io
import json
import re
import threading
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import botocore.session

# The lab's own calls have this in their User-Agent and are not recorded.
OWN_AGENT = "millrace-lab"
CREDENTIAL_SCOPE = re.compile(r"Credential=[^/]+/\d+/([^/]+)/([^/]+)/aws4_request")

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
Application = Callable[[Environ, StartResponse], Iterable[bytes]]


def scope(environ: Mapping[str, Any]) -> tuple[str, str] | None:
    """Region and service that the request is signed for."""
    match = CREDENTIAL_SCOPE.search(environ.get("HTTP_AUTHORIZATION", ""))
    return (match[1], match[2]) if match else None


@cache
def routes(service: str) -> list[tuple[str, int, frozenset[str], str]]:
    """Method, path segments, query keys and name of the operations of a REST service."""
    session = botocore.session.get_session()
    if service not in session.get_available_services():
        return []
    model = session.get_service_model(service)
    found = []
    for name in model.operation_names:
        http = model.operation_model(name).http
        path, _, query = http.get("requestUri", "/").partition("?")
        segments = len([part for part in path.split("/") if part])
        keys = frozenset(part.split("=")[0] for part in query.split("&") if part)
        found.append((http["method"], segments, keys, name))
    return found


def rest_operation(service: str, method: str, path: str, query: str) -> str:
    """The operation of a REST request: the one whose route matches most of its query."""
    segments = min(len([part for part in path.split("/") if part]), 2)
    keys = frozenset(parse_qs(query, keep_blank_values=True))
    fits = [
        (len(wanted), name)
        for verb, length, wanted, name in routes(service)
        if verb == method and length == segments and wanted <= keys
    ]
    best = max((count for count, _ in fits), default=0)
    names = sorted((name for count, name in fits if count == best), key=len)
    return names[0] if names else f"{method} {path}"


def operation(service: str, environ: Mapping[str, Any], body: bytes) -> str:
    """The operation of a request in any of AWS's protocols."""
    if target := environ.get("HTTP_X_AMZ_TARGET"):
        return str(target).rpartition(".")[2]
    query = str(environ.get("QUERY_STRING", ""))
    form = body.decode(errors="replace") if len(body) < 1_000_000 else ""
    for text in (form, query):
        if action := parse_qs(text).get("Action"):
            return action[0]
    return rest_operation(service, environ["REQUEST_METHOD"], environ["PATH_INFO"], query)


class Recorder:
    """Middleware before moto: records calls and notifies a listener."""

    def __init__(self, application: Application, path: Path) -> None:
        self.application = application
        self.path = path
        self.lock = threading.Lock()
        self.listeners: list[Callable[[str, str, dict[str, list[str]]], None]] = []

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        signed = scope(environ)
        if signed is None or OWN_AGENT in environ.get("HTTP_USER_AGENT", ""):
            return self.application(environ, start_response)
        region, service = signed
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        called = operation(service, environ, body)
        status: list[str] = []

        def note(line: str, *arguments: Any, **options: Any) -> Any:
            status.append(line)
            return start_response(line, *arguments, **options)

        answer = self.application(environ, note)
        code = int(status[0].split()[0]) if status else 0
        self.write({"service": service, "operation": called, "region": region, "status": code})
        if code < 400:
            for listener in self.listeners:
                listener(service, called, parse_qs(body.decode(errors="replace")))
        return answer

    def write(self, call: Mapping[str, Any]) -> None:
        """Append one line."""
        with self.lock, self.path.open("a") as stream:
            stream.write(json.dumps(call) + "\n")
