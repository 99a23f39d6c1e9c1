"""When something was seen first: of an upstream that does not say when it observed what it tells.

It is written down before it is used, so that the same is observed at the same time, and is the same
event, however often it is told and whoever is restarted meanwhile.
"""

from datetime import UTC, datetime
from pathlib import Path

import msgspec

from millrace.runtime.state_files import load_state, write_atomically

MOST = 16
"""So much is known of each series: an upstream that answers from several caches goes to and fro."""


class Seen:
    """What was seen last of each series, and when first, in a file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._times = self._load()

    def first(self, series: str, what: str, now: datetime) -> datetime:
        """When this was seen first of the series, in whole seconds: now, unless it is known."""
        known = self._times.setdefault(series, {})
        if what not in known:
            known[what] = int(now.timestamp())
            while len(known) > MOST:
                del known[next(iter(known))]
            write_atomically(self._path, msgspec.json.encode(self._times))
        return datetime.fromtimestamp(known[what], UTC)

    def _load(self) -> dict[str, dict[str, int]]:
        forgotten = "what was seen before counts as seen now, so it may be told twice"
        return load_state(self._path, dict[str, dict[str, int]], forgotten) or {}
