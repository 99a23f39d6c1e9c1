"""The upstream APIs over HTTP: JSON objects, or typed errors that never contain the key."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import requests

from millrace.config import Settings, secrets_directory
from millrace.errors import ConfigurationError
from millrace.runtime.redaction import keep
from millrace.sources.asking import Answer, ask, wait_asked
from millrace.sources.base import Auth, Permanent, Quota, Transient

SIMULATOR_HEADER = "X-Millrace-Simulator"
SIMULATOR_KEY = "simulator"
MAX_BODY = 1024 * 1024


@dataclass(frozen=True)
class Upstream:
    """One upstream API: its URL, its key, and whether it is the simulator."""

    base_url: str
    key: str
    ca_file: Path | None
    """The CA of the server's certificate; None: the public ones."""
    simulated: bool

    @classmethod
    def choose(cls, settings: Settings, secret: str, public_url: str) -> "Upstream":
        """The real API if the setting `secret` has a key, otherwise the simulator."""
        if key := getattr(settings, secret).get_secret_value():
            return cls(settings.producer_url or public_url, key, None, simulated=False)
        if not settings.producer_url:
            raise ConfigurationError(
                f"{settings.producer_source} has no API key: put it into the file"
                f" {secrets_directory() / secret}, or set MILLRACE_PRODUCER_URL to the simulator"
            )
        return cls(settings.producer_url, SIMULATOR_KEY, settings.kafka_ca_file, simulated=True)


@dataclass(frozen=True)
class Reply:
    """A JSON object from the upstream. Errors are objects too, often with status 200."""

    body: dict[str, Any]
    simulated: bool


class Client:
    """Requests JSON objects from one upstream API."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        if not upstream.simulated:
            keep([upstream.key])

    def get(self, path: str, params: dict[str, str], key_parameter: str) -> Reply:
        """One GET; anything but a JSON object raises a typed error."""
        upstream = self._upstream
        answer = ask(
            upstream.base_url.rstrip("/") + path,
            most=MAX_BODY,
            params=params | {key_parameter: upstream.key},
            headers={"Accept": "application/json"},
            verify=str(upstream.ca_file) if upstream.ca_file else True,
        )
        simulated = upstream.simulated or SIMULATOR_HEADER in answer.headers
        return Reply(decode(answer, datetime.now(UTC)), simulated)


def decode(answer: Answer, now: datetime) -> dict[str, Any]:
    """The JSON object in an answer; the caller has to recognise the upstream's error objects."""
    status = answer.status
    if status == requests.codes.too_many_requests:
        raise Quota("too many requests (HTTP 429)", now + wait_asked(answer.headers, now))
    if status == requests.codes.service_unavailable and "Retry-After" in answer.headers:
        raise Quota("the upstream says to wait (HTTP 503)", now + wait_asked(answer.headers, now))
    if status >= requests.codes.server_error:
        raise Transient(f"HTTP {status}")
    if requests.codes.multiple_choices <= status < requests.codes.bad_request:
        raise Permanent(f"redirected (HTTP {status}): is the URL right?")
    if len(answer.body) > MAX_BODY:
        raise Transient("the answer is too long")
    try:
        decoded = msgspec.json.decode(answer.body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        if status == requests.codes.unauthorized:
            raise Auth("HTTP 401") from None
        raise Transient(f"the answer is not JSON (HTTP {status})") from None
    if not isinstance(decoded, dict):
        raise Transient("the answer is not a JSON object")
    return decoded
