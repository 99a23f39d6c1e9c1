"""AWS in this process: moto behind a door that counts the calls and can refuse some of them."""

from __future__ import annotations

import json
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from http import HTTPStatus
from io import BytesIO
from typing import Any
from urllib.parse import parse_qs
from urllib.request import Request, urlopen

from moto.budgets.models import budgets_backends
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

Start = Callable[..., Any]
Environ = dict[str, Any]

# What the tests' own clients call themselves.
OWN_AGENT = "millrace-tests"
ERROR = (
    "<Response><Errors><Error><Code>{code}</Code><Message>{code}</Message></Error></Errors>"
    "<Error><Code>{code}</Code><Message>{code}</Message></Error><RequestID>1</RequestID></Response>"
)


def subscribers(environ: Environ) -> list[dict[str, str]]:
    """Who is told of a budget, which moto keeps and does not say."""
    asked = json.load(environ["wsgi.input"])
    account = asked["AccountId"]
    budget = budgets_backends[account]["global"].budgets[account][asked["BudgetName"]]
    return list(budget.notifications[0].subscribers)


class Quiet(WSGIRequestHandler):
    """Says nothing of each call."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Be silent."""


class MotoServer:
    """A server on a free port of this machine."""

    def __init__(self) -> None:
        """Start nothing yet."""
        self.calls: Counter[str] = Counter()
        self.seen: set[str] = set()
        """Every call since the account was empty, but those of the tests themselves."""
        self.said: dict[str, dict[str, list[str]]] = {}
        """What the last call of each action said, of the services that are sent forms."""
        self.launches: list[dict[str, list[str]]] = []
        """What each call that launches instances said."""
        self.refuse: dict[str, tuple[int, str]] = {}
        """From which call on an action is refused, counted from 1, and with which error."""
        self.late: dict[str, str] = {}
        """Which action is refused the first time, and with which error."""
        self.vcpus: float | None = None
        """The quota of vCPUs, of which moto knows nothing: none says that there is no such."""
        self.moto = DomainDispatcherApplication(create_backend_app)
        self.server = make_server("127.0.0.1", 0, self, threaded=True, request_handler=Quiet)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.server.server_port}"

    def start(self) -> None:
        """Serve until the tests end."""
        self.thread.start()

    def stop(self) -> None:
        """Serve no longer."""
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def clear(self) -> None:
        """Begin with an empty account."""
        request = Request(f"{self.url}/moto-api/reset", method="POST")
        with urlopen(request) as answer:
            assert answer.status == HTTPStatus.OK
        self.calls.clear()
        self.seen.clear()
        self.refuse.clear()
        self.late.clear()
        self.vcpus = None

    def action(self, environ: Environ) -> str:
        """Name a call as IAM does: service:Action."""
        size = int(environ.get("CONTENT_LENGTH") or 0)
        body = environ["wsgi.input"].read(size)
        environ["wsgi.input"] = BytesIO(body)
        signed = environ.get("HTTP_AUTHORIZATION", "")
        credential = re.search(r"Credential=[^/]+/\d+/[^/]+/([^/]+)/", signed)
        service = credential.group(1) if credential else "unknown"
        if target := environ.get("HTTP_X_AMZ_TARGET"):
            return f"{service}:{target.rsplit('.', 1)[1]}"
        form = parse_qs(body.decode(errors="replace")) if service != "s3" else {}
        if "Action" in form:
            action = f"{service}:{form['Action'][0]}"
            self.said[action] = form
            if action == "ec2:RunInstances":
                self.launches.append(form)
            return action
        query = environ.get("QUERY_STRING", "").split("&")[0].split("=")[0]
        return f"{service}:{environ['REQUEST_METHOD']} {query}".strip()

    def __call__(self, environ: Environ, start_response: Start) -> Iterable[bytes]:
        """Answer a call, or refuse it."""
        action = self.action(environ)
        self.calls[action] += 1
        if OWN_AGENT not in environ.get("HTTP_USER_AGENT", ""):
            self.seen.add(action)
        number, code = self.refuse.get(action, (0, ""))
        late = self.late.pop(action, "")
        if late or (number and self.calls[action] >= number):
            code = late or code
            start_response("400 Bad Request", [("Content-Type", "text/xml")])
            return [ERROR.format(code=code).encode()]
        if action == "budgets:DescribeSubscribersForNotification":
            start_response("200 OK", [("Content-Type", "application/x-amz-json-1.1")])
            return [json.dumps({"Subscribers": subscribers(environ)}).encode()]
        if action == "servicequotas:GetServiceQuota" and self.vcpus is not None:
            start_response("200 OK", [("Content-Type", "application/x-amz-json-1.1")])
            return [json.dumps({"Quota": {"Value": self.vcpus}}).encode()]
        answer: Iterable[bytes] = self.moto(environ, start_response)
        return answer
