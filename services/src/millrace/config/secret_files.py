"""Which files of the secrets directory nobody reads.

They are told and end nothing: until an update, or the way back, has made the container anew, the
files are those of the other version.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from millrace.config.base import ENV_PREFIX, SECRETS
from millrace.config.environment import instead

ADMINISTRATOR = "tls.pem"
"""What `millrace admin` logs in with. No setting names it."""


def unknown(directory: Path, defaults: Mapping[str, Any]) -> list[str]:
    """A line for each file that no setting has, given the settings with their defaults.

    Hidden files are not ours: engines and editors make them. Raises OSError if it cannot be listed.
    """
    files = {path.name for path in defaults.values() if _is_secret(path)} | {ADMINISTRATOR}
    right = {name: name for name in (*defaults, *files)}
    lines = []
    for path in sorted(directory.iterdir()) if directory.is_dir() else ():
        name = path.name.lower()
        if name not in right and not name.startswith("."):
            meant = instead(name.removeprefix(ENV_PREFIX.lower()), right)
            lines.append(f"{path}: there is no such setting; {meant}")
    return lines


def _is_secret(value: Any) -> bool:
    return isinstance(value, Path) and value.parent == SECRETS
