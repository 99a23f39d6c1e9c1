"""All settings of all services: the only place that reads the environment and secret files.

A setting is read from the environment variable `MILLRACE_<NAME>` (lists as JSON), otherwise from
the file `<name>` in the secrets directory (`/run/secrets`, or `MILLRACE_SECRETS_DIR`); otherwise it
has the default of its part: `kafka.py`, `producer.py` and so on. Secrets are read from files only;
one in the environment is refused.
"""

from millrace.config.base import ENV_PREFIX, LONGEST_SECONDS, about
from millrace.config.reading import as_read, load, problems
from millrace.config.settings import Settings, secrets_directory

__all__ = [
    "ENV_PREFIX",
    "LONGEST_SECONDS",
    "Settings",
    "about",
    "as_read",
    "load",
    "problems",
    "secrets_directory",
]
