"""The CAs of the servers' certificates: files, each named by a setting."""

import ssl
from pathlib import Path

from millrace.config import Settings, about
from millrace.errors import ConfigurationError


def trusting(ca_file: Path) -> ssl.SSLContext:
    """An SSL context that trusts the CA in a file; ConfigurationError if it cannot be read."""
    try:
        return ssl.create_default_context(cafile=str(ca_file))
    except OSError as error:
        raise ConfigurationError(f"cannot read the authority in {ca_file}: {error}") from None


def check(settings: Settings, *names: str) -> None:
    """Raise ConfigurationError, naming the setting, unless each names a readable CA."""
    for name in names:
        with about(name):
            trusting(getattr(settings, name))
