"""Processes that archive, or maintain, and kill themselves at a place that is named to them.

    python killed.py '[[FOLDER, PLACE, TIME, "archive" or "maintain"], ...]'

The place is module:name of a function; the process dies instead of the call of that number, from 1.
Each is forked of this one, which has imported everything, and prints their exit codes.
"""

import json
import os
import signal
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[3]))

from services.tests.archive.world import Archiver, Log, archive_all, settings_in, table_of

from millrace.archive import durable
from millrace.archive.maintenance import maintain
from millrace.config import Settings

RECORDS = 900
FLUSH_ROWS = 150
DAYS = 2


def log_of(records: int = RECORDS) -> Log:
    """The log, the same in each process."""
    made = Log()
    made.quotes(records, days=DAYS)
    return made


def archive_in_parts(settings: Settings) -> None:
    """Archive a log so that several files are to be combined."""
    log = Log()
    log.make("quotes", 3)
    archiver = Archiver(settings, log)
    for first in range(0, RECORDS, FLUSH_ROWS):
        log.quotes(FLUSH_ROWS, first=first, days=DAYS)
        archiver.steps(1)
    archiver.finish()


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


def run(folder: str, place: str, time: int, what: str) -> None:
    """Archive the log, or maintain a table that has it."""
    settings = settings_in(
        Path(folder), archive_flush_rows=FLUSH_ROWS, archive_snapshot_seconds=1e-3
    )
    if what == "maintain":
        archive_in_parts(settings)
        die_at(place, time)
        maintain(table_of(settings), settings)
    else:
        die_at(place, time)
        archive_all(settings, log_of())


def main(jobs: str) -> None:
    """One process after the other."""
    durable.sync = lambda path: None
    codes = []
    for job in json.loads(jobs):
        child = os.fork()
        if not child:
            run(*job)
            os._exit(0)
        codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    sys.stderr.write(json.dumps(codes))


if __name__ == "__main__":
    main(*sys.argv[1:])
