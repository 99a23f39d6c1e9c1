"""A process that is killed anywhere has lost nothing, and written nothing twice."""

import json
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from services.tests.archive import killed, world
from services.tests.archive.world import archive_all, settings_in, table_of

from millrace.archive.maintenance import maintain

ARCHIVING = [
    # In a data file, and between data files and commit.
    ("millrace.archive.files:DataFile.from_args", 3),
    ("millrace.archive.tables:FeedTable.append", 2),
    # In the commit: its files are written, and the catalog is not changed yet.
    ("pyiceberg.catalog.sql:update", 2),
    # After the commit, before Kafka knows of it.
    ("millrace.archive.reading:Reader.commit", 2),
]
MAINTAINING = [
    ("millrace.archive.compaction:files.write", 2),
    ("millrace.archive.tables:FeedTable.replace", 1),
    ("pyiceberg.catalog.sql:update", 1),
    # What was combined is committed, and snapshots are not yet expired.
    ("millrace.archive.maintenance:_expire", 1),
    ("millrace.archive.orphans:used", 1),
]
Place = tuple[str, int]


def run(places: list[Place], what: str, folder: Path) -> Mapping[Place, Path]:
    """Let a process die at each place; return in which folder it worked."""
    folders = {place: folder / f"{number}" for number, place in enumerate(places)}
    for one in folders.values():
        one.mkdir()
    jobs = [(str(one), *place, what) for place, one in folders.items()]
    done = subprocess.run(
        [sys.executable, killed.__file__, json.dumps(jobs)],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert json.loads(done.stderr.splitlines()[-1]) == [-signal.SIGKILL] * len(places), done.stderr
    return folders


@pytest.fixture(scope="module")
def archiving(tmp_path_factory: pytest.TempPathFactory) -> Mapping[Place, Path]:
    return run(ARCHIVING, "archive", tmp_path_factory.mktemp("archiving"))


@pytest.fixture(scope="module")
def maintaining(tmp_path_factory: pytest.TempPathFactory) -> Mapping[Place, Path]:
    return run(MAINTAINING, "maintain", tmp_path_factory.mktemp("maintaining"))


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The hash of all rows, as an archiver writes them that is never killed."""
    settings = settings_in(tmp_path_factory.mktemp("expected"))
    archive_all(settings, killed.log_of())
    return world.digest(table_of(settings).table)


@pytest.mark.parametrize("place", ARCHIVING)
def test_what_a_killed_archiver_has_not_committed_is_written_once(
    place: Place, archiving: Mapping[Place, Path], expected: str
) -> None:
    settings, log = settings_in(archiving[place]), killed.log_of()
    begun = len(world.positions(table_of(settings).table))
    assert 0 < begun < killed.RECORDS
    archiver = archive_all(settings, log)
    assert archiver.counted("records_consumed_total") == killed.RECORDS - begun
    table = table_of(settings).table
    assert world.positions(table) == world.positions_in(log)
    assert len(table.scan().to_arrow()["event_id"].unique()) == killed.RECORDS
    assert world.digest(table) == expected


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The hash of all rows before maintenance."""
    settings = settings_in(tmp_path_factory.mktemp("parts"), archive_flush_rows=killed.FLUSH_ROWS)
    killed.archive_in_parts(settings)
    return world.digest(table_of(settings).table)


@pytest.mark.parametrize("place", MAINTAINING)
def test_a_maintenance_that_is_killed_has_changed_no_row(
    place: Place, maintaining: Mapping[Place, Path], parts: str
) -> None:
    settings = settings_in(maintaining[place])
    assert world.digest(table_of(settings).table) == parts
    assert maintain(table_of(settings), settings).periods_failed == 0
    assert world.digest(table_of(settings).table) == parts
