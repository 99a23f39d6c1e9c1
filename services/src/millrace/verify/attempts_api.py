"""Attempts on the API."""

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from urllib.parse import urlsplit

import requests

from millrace.config import Settings
from millrace.verify import wire
from millrace.verify.attempts import Attempt
from millrace.verify.wire import ACCEPTED, AUTHENTICATION, TLS, TRUSTED, Answer

GET = b"GET /v1/feeds HTTP/1.1\r\nHost: api\r\nConnection: close\r\n\r\n"


@contextmanager
def attempts(settings: Settings) -> Iterator[list[Attempt]]:
    """Every attempt."""
    address = urlsplit(settings.api_url).netloc
    server = f"api {address.rpartition(':')[2]}"

    def ask(headers: dict[str, str]) -> Answer:
        with requests.Session() as session:
            session.trust_env = False
            answer = session.get(
                f"{settings.api_url}/v1/feeds",
                headers=headers,
                verify=str(settings.mongodb_ca_file),
                timeout=wire.LIMIT_SECONDS,
            )
        refused = answer.status_code == HTTPStatus.UNAUTHORIZED
        text = f"{answer.status_code} {answer.reason}"
        return Answer(AUTHENTICATION if refused else ACCEPTED, text)

    yield [
        Attempt(
            server,
            "control: TLS, our authority",
            TRUSTED,
            lambda: wire.trusted(address, settings.mongodb_ca_file, wire.version),
        ),
        Attempt(server, "plaintext", TLS, lambda: wire.without_tls(address, GET)),
        Attempt(server, "TLS 1.1", TLS, lambda: wire.with_tls_1_1(address)),
        Attempt(server, "no token", AUTHENTICATION, lambda: ask({})),
        Attempt(
            server,
            "wrong token",
            AUTHENTICATION,
            lambda: ask({"Authorization": "Bearer not-a-token"}),
        ),
    ]
