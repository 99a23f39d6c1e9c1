"""What the settings of all parts have in common."""

from pathlib import Path

ENV_PREFIX = "MILLRACE_"
LONGEST_SECONDS = 31_622_400
"""A year: what is longer is no time that anybody waits, and clocks and dates end some day."""
SECRETS = Path("/run/secrets")
