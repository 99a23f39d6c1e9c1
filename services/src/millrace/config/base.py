"""Definitions that all parts of the settings share."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from millrace.errors import ConfigurationError

ENV_PREFIX = "MILLRACE_"
LONGEST_SECONDS = 31_622_400
"""A year: nobody waits longer, and much longer times overflow clocks and dates."""
SECRETS = Path("/run/secrets")


@contextmanager
def about(*settings: str) -> Iterator[None]:
    """Add the names of the settings to a ConfigurationError raised in the context."""
    try:
        yield
    except ConfigurationError as error:
        names = " and ".join(ENV_PREFIX + name.upper() for name in settings)
        raise ConfigurationError(f"{names}: {error}") from None
