"""When values were first seen, for an upstream that does not say when it observed them.

The time is stored before it is used, so that the same value has the same time, and is the same
event, however often it is fetched and across restarts.
"""

from datetime import UTC, datetime
from pathlib import Path

import msgspec

from millrace.runtime.state_files import load_state, write_atomically

MOST = 16
"""Values kept per series: an upstream with several caches may alternate between values."""


class Seen:
    """The last values of each series, with the times when they were first seen, in a file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._times = self._load()

    def first(self, series: str, what: str, now: datetime) -> datetime:
        """When this value of the series was first seen, in whole seconds: now, if it is new."""
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
