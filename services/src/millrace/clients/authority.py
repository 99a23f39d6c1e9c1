"""The authorities that servers' certificates must be of: files, which a setting names each."""

import ssl
from pathlib import Path

from millrace.config import Settings, about
from millrace.errors import ConfigurationError


def trusting(ca_file: Path) -> ssl.SSLContext:
    """A context that trusts the authority in a file; ConfigurationError if none can be read."""
    try:
        return ssl.create_default_context(cafile=str(ca_file))
    except OSError as error:
        raise ConfigurationError(f"cannot read the authority in {ca_file}: {error}") from None


def check(settings: Settings, *names: str) -> None:
    """Raise ConfigurationError, which names the setting, unless each names a readable authority."""
    for name in names:
        with about(name):
            trusting(getattr(settings, name))
