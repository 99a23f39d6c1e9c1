"""A process that archives, or maintains, and kills itself at a place that is named to it.

    python killed.py FOLDER RECORDS PLACE TIME

The place is module:name of a function; it dies instead of the call of that number, from 1. With the
place `-` it goes on to its end.
"""

import os
import signal
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[3]))

from services.tests.archive.world import Log, archive_all, settings_in

FLUSH_ROWS = 150
DAYS = 3


def log_of(records: int) -> Log:
    """The log, the same in each process."""
    made = Log()
    made.quotes(records, days=DAYS)
    return made


def die_at(place: str, time: int) -> None:
    """Kill this process instead of a call."""
    module, _, rest = place.partition(":")
    owner: Any = import_module(module)
    *path, name = rest.split(".")
    for part in path:
        owner = getattr(owner, part)
    real, calls = getattr(owner, name), 0

    def called(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == time:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments, **options)

    setattr(owner, name, called)


def main(folder: str, records: str, place: str, time: str) -> None:
    """Archive what is in the log."""
    settings = settings_in(
        Path(folder), archive_flush_rows=FLUSH_ROWS, archive_snapshot_seconds=1e-3
    )
    if place != "-":
        die_at(place, int(time))
    archive_all(settings, log_of(int(records)))


if __name__ == "__main__":
    main(*sys.argv[1:])
