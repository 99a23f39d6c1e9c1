"""The status of the pipeline's other services, over HTTP."""

from typing import Any

import msgspec
import requests

from millrace.config import Settings
from millrace.runtime.redaction import shown

LIMIT_SECONDS = 5.0
LONGEST_PROBLEM = 1000


class Peer(msgspec.Struct, frozen=True):
    """A service: whether it is ready, and its status."""

    host: str
    ready: bool
    says: dict[str, Any]


def ask(settings: Settings, host: str) -> Peer:
    """Query a processor or a producer."""
    name, _, port = host.partition(":")
    base = f"http://{name}:{port or settings.http_port}"
    try:
        with requests.Session() as session:
            # Proxy variables in the environment are not meant for the internal network.
            session.trust_env = False
            ready = session.get(f"{base}/ready", timeout=LIMIT_SECONDS)
            status = session.get(f"{base}/status", timeout=LIMIT_SECONDS)
            says = dict(status.json())
    except (requests.RequestException, ValueError) as error:
        return Peer(name, ready=False, says=_silent(error))
    if not ready.ok:
        says["problem"] = shown(ready.text, LONGEST_PROBLEM)
    return Peer(name, ready.ok, says)


def ask_api(settings: Settings, path: str = "/health") -> Peer:
    """Query the API for its health, or for another JSON object."""
    token = settings.api_token.get_secret_value()
    try:
        with requests.Session() as session:
            session.trust_env = False
            answer = session.get(
                f"{settings.api_url}{path}",
                headers={"Authorization": f"Bearer {token}"} if token else {},
                timeout=2 * LIMIT_SECONDS,
                verify=str(settings.mongodb_ca_file),
            )
            says = dict(answer.json())
            checks: dict[str, dict[str, Any]] = says.get("checks") or {}
            problems = [f"{name}: {c['problem']}" for name, c in checks.items() if "problem" in c]
            return Peer("api", answer.ok, says | ({"problem": problems[0]} if problems else {}))
    except (requests.RequestException, OSError, ValueError) as error:
        return Peer("api", ready=False, says=_silent(error))


def _silent(error: Exception) -> dict[str, Any]:
    return {"problem": f"does not answer ({type(error).__name__})"}
