"""HTTP as the sources need it: bounded, and with errors that never carry the key.

The upstream APIs take their key in the URL, and the exceptions of `requests` carry the URL. So no
exception of `requests` leaves this module, nor stays chained to one that does.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import requests
import urllib3

from millrace.config import Settings
from millrace.errors import ConfigurationError
from millrace.redaction import keep, shown
from millrace.sources.base import Auth, Permanent, Quota, Transient

SIMULATOR_HEADER = "X-Millrace-Simulator"
SIMULATOR_KEY = "simulator"
MAX_BODY = 1024 * 1024
TIMEOUTS = (3.0, 7.0)


@dataclass(frozen=True)
class Upstream:
    """One upstream API: where it is, the key that it wants, and whether it is the simulator."""

    base_url: str
    key: str
    ca_file: Path | None
    """The authority that signed the server's certificate; None: the public ones."""
    simulated: bool

    @classmethod
    def choose(cls, settings: Settings, key: str, public_url: str) -> "Upstream":
        """The real API if there is a key, else the simulator."""
        if key:
            return cls(settings.producer_url or public_url, key, None, simulated=False)
        if not settings.producer_url:
            raise ConfigurationError(
                f"{settings.producer_source} has no API key: set one, or set"
                " MILLRACE_PRODUCER_URL to the simulator"
            )
        return cls(settings.producer_url, SIMULATOR_KEY, settings.kafka_ca_file, simulated=True)


@dataclass(frozen=True)
class Reply:
    """A JSON object from the upstream. Errors, too, come as objects, often with status 200."""

    status: int
    body: dict[str, Any]
    simulated: bool


class Client:
    """Asks one upstream API for JSON objects."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        if not upstream.simulated:
            keep([upstream.key])
        self._session = requests.Session()
        self._session.headers["Accept"] = "application/json"
        # Given with each request: REQUESTS_CA_BUNDLE in the environment overrides the session's.
        self._verify = str(upstream.ca_file) if upstream.ca_file else True

    def get(self, path: str, params: dict[str, str], key_parameter: str) -> Reply:
        """One GET; whatever is not a JSON object is a typed error."""
        try:
            with self._session.get(
                self._upstream.base_url.rstrip("/") + path,
                params=params | {key_parameter: self._upstream.key},
                timeout=TIMEOUTS,
                verify=self._verify,
                allow_redirects=False,
                stream=True,
            ) as response:
                body = response.raw.read(MAX_BODY + 1, decode_content=True)
        except (requests.RequestException, OSError, ValueError) as error:
            raise Transient(f"no answer: {self._reason(error)}") from None
        except urllib3.exceptions.HTTPError as error:
            raise Transient(f"broken answer: {type(error).__name__}") from None
        simulator = SIMULATOR_HEADER in response.headers
        return Reply(
            status=response.status_code,
            body=decode(response.status_code, body, response.headers.get("Retry-After")),
            simulated=simulator or self._upstream.simulated,
        )

    def _reason(self, error: Exception) -> str:
        """Why there was no answer: the innermost reason does not know the URL."""
        cause = getattr(error.args[0] if error.args else None, "reason", None)
        return shown(cause) if cause else type(error).__name__


def decode(status: int, body: bytes, retry_after: str | None = None) -> dict[str, Any]:
    """The JSON object in an answer, which may be an error that its caller has to recognise."""
    if status == requests.codes.too_many_requests:
        delay = int(retry_after) if retry_after and retry_after.isdecimal() else 3600
        retry_at = datetime.now(UTC) + timedelta(seconds=min(delay, 86_400))
        raise Quota("too many requests (HTTP 429)", retry_at)
    if status >= requests.codes.server_error:
        raise Transient(f"HTTP {status}")
    if requests.codes.multiple_choices <= status < requests.codes.bad_request:
        raise Permanent(f"redirected (HTTP {status}): is the URL right?")
    if len(body) > MAX_BODY:
        raise Transient("the answer is too long")
    try:
        decoded = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        if status == requests.codes.unauthorized:
            raise Auth("HTTP 401") from None
        raise Transient(f"the answer is not JSON (HTTP {status})") from None
    if not isinstance(decoded, dict):
        raise Transient("the answer is not a JSON object")
    return decoded
