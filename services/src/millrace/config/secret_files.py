"""Files of the secrets directory that no setting reads.

They only cause a warning, because during an update or a downgrade the files are those of the other
version until the container is recreated.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from millrace.config.base import ENV_PREFIX, SECRETS
from millrace.config.environment import instead

ADMINISTRATOR = "tls.pem"
"""Client certificate of `millrace admin`. No setting names it."""


def unknown(directory: Path, defaults: Mapping[str, Any]) -> list[str]:
    """A line for each file that belongs to no setting, given the settings with their defaults.

    Hidden files are ignored: engines and editors create them. Raises OSError if the directory
    cannot be listed.
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
