"""The login in front of everything that the dashboard serves, its websocket and files included."""

import html
from http import HTTPStatus
from urllib.parse import parse_qs, quote, urlsplit

import anyio
import anyio.to_thread
import structlog
from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from millrace.dashboard.login import (
    LONGEST_PASSWORD,
    SESSION_SECONDS,
    Door,
    Sessions,
    Waits,
    inside,
)

log = structlog.get_logger(__name__)

COOKIE = "__Host-millrace"
"""Browsers take a cookie of such a name only over TLS, and only for this host."""
HEALTH = "/_stcore/health"
"""Says no more than that the server runs: the container's health check asks it."""
LOGIN, LOGOUT = "/login", "/logout"
MOST_BODY = 4 * LONGEST_PASSWORD
MOST_WAITING = 8
"""Attempts to log in that may wait for a comparison; others are told to come again."""
BODY_SECONDS = 10.0
REFUSED = 4401
HEADERS = {
    # With no referrer at all, browsers would not say whose form it is.
    "Referrer-Policy": "same-origin",
    "Strict-Transport-Security": "max-age=31536000",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
OF_FORM = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline';"
    " form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
}
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Millrace: log in</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<style>
body {{ font: 1rem/1.5 system-ui, sans-serif; margin: 0 }}
body {{ display: grid; min-height: 100vh; place-items: center }}
main {{ width: min(20rem, 90vw) }}
label, input, button {{ display: block; width: 100%; box-sizing: border-box; font: inherit }}
input, button {{ padding: .6rem; margin: .3rem 0 1rem }}
[role=alert] {{ border-left: .3rem solid #c62828; padding-left: .6rem }}
</style></head>
<body><main><h1>Millrace</h1>{problem}
<form method="post" action="/login">
<input type="hidden" name="next" value="{next}">
<label for="password">Password</label>
<input id="password" name="password" type="password"
 autocomplete="current-password" required autofocus>
<button type="submit">Log in</button>
</form></main></body></html>
"""


class Gate:
    """ASGI middleware: without a session there is the form, and nothing else."""

    def __init__(self, app: ASGIApp, door: Door, sessions: Sessions) -> None:
        self._app = app
        self._door = door
        self._sessions = sessions
        self._waiting = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or let the request through."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        path: str = scope["path"]
        known = self._sessions.knows(HTTPConnection(scope).cookies.get(COOKIE, ""))
        if scope["type"] == "websocket":
            if known:
                await self._app(scope, receive, send)
            else:
                await send({"type": "websocket.close", "code": REFUSED})
            return
        guarded = _with_headers(send)
        if path == HEALTH and scope["method"] in ("GET", "HEAD"):
            await self._app(scope, receive, guarded)
        elif path in (LOGIN, LOGOUT):
            answer = await self._own(Request(scope, receive), path)
            await answer(scope, receive, guarded)
        elif known:
            await self._app(scope, receive, guarded)
        else:
            await _refusal(Request(scope))(scope, receive, guarded)

    async def _own(self, request: Request, path: str) -> Response:
        if path == LOGOUT:
            self._sessions.end(request.cookies.get(COOKIE, ""))
            answer = RedirectResponse(LOGIN, HTTPStatus.SEE_OTHER)
            answer.delete_cookie(COOKIE, secure=True, httponly=True, samesite="lax")
            return answer
        if request.method == "GET":
            return _form(inside(request.query_params.get("next", "/")))
        if request.method != "POST":
            return Response(status_code=HTTPStatus.METHOD_NOT_ALLOWED)
        if not _is_own_page(request):
            return Response("sent by another site", HTTPStatus.FORBIDDEN)
        return await self._log_in(request)

    async def _log_in(self, request: Request) -> Response:
        fields = await _fields(request)
        if fields is None:
            return _form("/", "That was no password.", HTTPStatus.BAD_REQUEST)
        target = inside(fields.get("next", "/"))
        address = request.client.host if request.client else ""
        if self._waiting >= MOST_WAITING:
            return _too_early(target, 1.0)
        self._waiting += 1
        try:
            opens = await anyio.to_thread.run_sync(
                self._door.opens, fields.get("password", ""), address
            )
        except Waits as wait:
            return _too_early(target, wait.seconds)
        finally:
            self._waiting -= 1
        log.info("login" if opens else "login refused", address=address)
        if not opens:
            return _form(target, "This is not the password.", HTTPStatus.UNAUTHORIZED)
        answer = RedirectResponse(target, HTTPStatus.SEE_OTHER)
        answer.set_cookie(
            COOKIE,
            self._sessions.begin(),
            max_age=int(SESSION_SECONDS),
            secure=True,
            httponly=True,
            samesite="lax",
        )
        return answer


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return sending


def _refusal(request: Request) -> Response:
    """To the form, where a person asks for a page; a status where a program asks for a part."""
    if request.method == "GET" and "text/html" in request.headers.get("Accept", ""):
        query = f"?{request.url.query}" if request.url.query else ""
        wanted = quote(inside(f"{request.url.path}{query}"), safe="/")
        return RedirectResponse(f"{LOGIN}?next={wanted}", HTTPStatus.SEE_OTHER)
    return Response("log in first", HTTPStatus.UNAUTHORIZED)


def _is_own_page(request: Request) -> bool:
    """Whether a browser says that the form was this site's. Other clients say nothing."""
    origin = request.headers.get("Origin")
    return origin is None or urlsplit(origin).netloc == request.headers.get("Host")


async def _fields(request: Request) -> dict[str, str] | None:
    """The fields of the form; None if it is too long, comes too slowly or cannot be read."""
    body = b""
    with anyio.move_on_after(BODY_SECONDS) as late:
        async for chunk in request.stream():
            body += chunk
            if len(body) > MOST_BODY:
                return None
    try:
        found = parse_qs(body.decode(), max_num_fields=4)
    except ValueError:
        return None
    return None if late.cancelled_caught else {name: values[0] for name, values in found.items()}


def _form(target: str, problem: str = "", status: HTTPStatus = HTTPStatus.OK) -> Response:
    shown = f'<p role="alert">{html.escape(problem)}</p>' if problem else ""
    page = PAGE.format(problem=shown, next=html.escape(target))
    return HTMLResponse(page, status, headers=OF_FORM)


def _too_early(target: str, seconds: float) -> Response:
    whole = max(1, round(seconds + 0.5))
    answer = _form(
        target,
        f"Too many attempts: try again in {whole} s.",
        HTTPStatus.TOO_MANY_REQUESTS,
    )
    answer.headers["Retry-After"] = str(whole)
    return answer
