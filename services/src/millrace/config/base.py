"""What the settings of all parts have in common."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from millrace.errors import ConfigurationError

ENV_PREFIX = "MILLRACE_"
LONGEST_SECONDS = 31_622_400
"""A year: what is longer is no time that anybody waits, and clocks and dates end some day."""
SECRETS = Path("/run/secrets")


@contextmanager
def about(*settings: str) -> Iterator[None]:
    """A ConfigurationError from within names the settings that it is about."""
    try:
        yield
    except ConfigurationError as error:
        names = " and ".join(ENV_PREFIX + name.upper() for name in settings)
        raise ConfigurationError(f"{names}: {error}") from None
