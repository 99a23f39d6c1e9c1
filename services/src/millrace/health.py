"""Ask a local endpoint whether it is well: run by health checks, so nothing heavy is imported."""

import ssl
import sys
import urllib.error
import urllib.request
from pathlib import Path

from millrace.errors import MillraceError


class Unhealthy(MillraceError):
    """The endpoint does not answer, or not with success."""


def check(url: str, ca_file: Path, timeout: float = 5.0) -> None:
    """Raise Unhealthy unless the URL answers with success in time; certificates are verified."""
    handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({})]
    if url.startswith("https:"):
        context = ssl.create_default_context(cafile=str(ca_file))
        handlers.append(urllib.request.HTTPSHandler(context=context))
    try:
        with urllib.request.build_opener(*handlers).open(url, timeout=timeout):
            pass
    except urllib.error.HTTPError as error:
        raise Unhealthy(f"{url} answered {error.code}") from None
    except (OSError, ValueError) as error:
        raise Unhealthy(f"{url}: {error}") from None


if __name__ == "__main__":
    # Health checks run every few seconds: this way costs a third of what the command line does.
    try:
        check(sys.argv[1], Path("/run/secrets/ca.pem"))
    except MillraceError as error:
        sys.exit(f"millrace: {error}")
