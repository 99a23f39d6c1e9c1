"""A process that is killed anywhere has lost nothing, and written nothing twice."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from services.tests.archive import killed, world
from services.tests.archive.world import archive_all, settings_in, table_of

RECORDS = 1200


def run(folder: Path, place: str = "-", time: int = 1) -> int:
    """Run the process until its end; return its code."""
    return subprocess.run(
        [sys.executable, killed.__file__, str(folder), str(RECORDS), place, str(time)],
        capture_output=True,
        timeout=60,
        check=False,
    ).returncode


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The hash of all rows, as an archiver writes them that is never killed."""
    settings = settings_in(tmp_path_factory.mktemp("expected"))
    archive_all(settings, killed.log_of(RECORDS))
    return world.digest(table_of(settings).table)


@pytest.mark.parametrize(
    ("place", "time"),
    [
        # In a data file, and between data files and commit.
        ("millrace.archive.files:DataFile.from_args", 3),
        ("millrace.archive.tables:FeedTable.append", 2),
        # In the commit: its files are written, and the catalog is not changed yet.
        ("pyiceberg.catalog.sql:update", 3),
        # After the commit, before Kafka knows of it.
        ("millrace.archive.reading:Reader.commit", 2),
    ],
)
def test_what_a_killed_archiver_has_not_committed_is_written_once(
    place: str, time: int, tmp_path: Path, expected: str
) -> None:
    assert run(tmp_path, place, time) == -signal.SIGKILL
    settings, log = settings_in(tmp_path), killed.log_of(RECORDS)
    begun = len(world.positions(table_of(settings).table))
    assert 0 < begun < RECORDS
    archiver = archive_all(settings, log)
    assert archiver.counted("records_consumed_total") == RECORDS - begun
    table = table_of(settings).table
    assert world.positions(table) == world.positions_in(log)
    assert len(table.scan().to_arrow()["event_id"].unique()) == RECORDS
    assert world.digest(table) == expected
