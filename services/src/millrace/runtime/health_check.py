"""Checks a local endpoint: run by health checks, so nothing heavy is imported."""

import ssl
import sys
import urllib.error
import urllib.request
from pathlib import Path

from millrace.errors import MillraceError
from millrace.runtime.exit_codes import Exit


class Unhealthy(MillraceError):
    """The endpoint does not answer, or answers with an error."""


def check(url: str, ca_file: Path, timeout: float = 5.0) -> None:
    """Raise Unhealthy unless the URL answers successfully in time; certificates are verified."""
    handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({})]
    if url.startswith("https:"):
        try:
            context = ssl.create_default_context(cafile=str(ca_file))
        except OSError as error:
            raise Unhealthy(f"cannot read the authority in {ca_file}: {error}") from None
        handlers.append(urllib.request.HTTPSHandler(context=context))
    try:
        with urllib.request.build_opener(*handlers).open(url, timeout=timeout):
            pass
    except urllib.error.HTTPError as error:
        raise Unhealthy(f"{url} answered {error.code}") from None
    except (OSError, ValueError) as error:
        raise Unhealthy(f"{url}: {error}") from None


if __name__ == "__main__":
    # Health checks run every few seconds; this costs a third of the command line.
    if len(sys.argv) != 2:
        sys.stderr.write(
            "usage: python -m millrace.runtime.health_check URL (`millrace health --help`)\n"
        )
        sys.exit(Exit.MISUSED)
    try:
        check(sys.argv[1], Path("/run/secrets/ca.pem"))
    except MillraceError as error:
        sys.stderr.write(f"millrace: {error}\n")
        sys.exit(Exit.FAILED)
