"""Attempts on the API."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http import HTTPStatus
from urllib.parse import urlsplit

import requests

from millrace.config import Settings
from millrace.verify.access import wire
from millrace.verify.access.attempts import Attempt, encryption
from millrace.verify.access.wire import (
    ACCEPTED,
    AUTHENTICATION,
    AUTHORISATION,
    Answer,
)

REFUSALS = {
    HTTPStatus.UNAUTHORIZED: AUTHENTICATION,
    HTTPStatus.FORBIDDEN: AUTHORISATION,
}
GET = b"GET /v1/feeds HTTP/1.1\r\nHost: api\r\nConnection: close\r\n\r\n"


@contextmanager
def attempts(settings: Settings) -> Iterator[list[Attempt]]:
    """All attempts."""
    address = urlsplit(settings.api_url).netloc
    server = f"api {address.rpartition(':')[2]}"

    def ask(token: str, method: str, path: str) -> Answer:
        with requests.Session() as session:
            session.trust_env = False
            answer = session.request(
                method,
                f"{settings.api_url}{path}",
                headers={"Authorization": f"Bearer {token}"} if token else {},
                # Without events: if this were accepted, it would have no effect.
                json={"events": []} if method == "POST" else None,
                verify=str(settings.mongodb_ca_file),
                timeout=wire.LIMIT_SECONDS,
            )
        text = f"{answer.status_code} {answer.reason}"
        return Answer(REFUSALS.get(HTTPStatus(answer.status_code), ACCEPTED), text)

    read = partial(ask, method="GET", path="/v1/feeds")
    send = partial(ask, method="POST", path=f"/v1/ingest/{settings.feeds[0]}")
    reader = settings.api_token.get_secret_value()
    sender = settings.api_ingest_token.get_secret_value()

    yield [
        *encryption(server, address, settings.mongodb_ca_file, GET),
        Attempt(server, "no token: read", AUTHENTICATION, lambda: read("")),
        Attempt(server, "no token: ingest", AUTHENTICATION, lambda: send("")),
        Attempt(server, "wrong token: read", AUTHENTICATION, lambda: read("not-a-token")),
        Attempt(server, "wrong token: ingest", AUTHENTICATION, lambda: send("not-a-token")),
        Attempt(server, "a reader's token: ingest", AUTHORISATION, lambda: send(reader)),
        Attempt(server, "a sender's token: read", AUTHORISATION, lambda: read(sender)),
    ]
