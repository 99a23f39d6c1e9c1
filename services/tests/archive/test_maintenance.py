"""Maintenance: the same rows in fewer files, for every reader, at every time."""

import errno
import json
import os
import threading
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest
from services.tests.archive import world
from services.tests.archive.world import (
    Archiver,
    Log,
    archive_all,
    failing,
    settings_in,
    table_of,
)
from services.tests.feeds.events import START, stock
from typer.testing import CliRunner

from millrace.archive import compaction, files, maintenance, orphans, tables
from millrace.archive.failures import Fenced
from millrace.archive.maintenance import maintain
from millrace.cli import app
from millrace.config import Settings
from millrace.errors import MillraceError
from millrace.feeds import FEEDS
from millrace.feeds.quotes import QUOTES
from millrace.feeds.stocks import STOCKS
from millrace.runtime.exit_codes import Exit

HOUR = 3600.0
LATER = time.time() + 365 * 24 * HOUR


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_in(tmp_path, archive_flush_rows=50)


@pytest.fixture
def log(settings: Settings) -> Log:
    """A log that is archived, in many files of three days."""
    made = Log()
    made.make(QUOTES.topic, 3)
    archiver = Archiver(settings, made)
    for n in range(6):
        made.quotes(100, first=100 * n, days=2)
        archiver.steps(1)
    archiver.finish()
    return made


def files_of(settings: Settings) -> list[str]:
    found = table_of(settings).table.scan().plan_files()
    return sorted(task.file.file_path.split("data/")[1] for task in found)


def on_disk(folder: Path) -> set[str]:
    return {str(path) for path in folder.rglob("*") if path.is_file()}


def aged(folder: Path, hours: float = 100) -> None:
    """Let all files be older."""
    for path in on_disk(folder):
        os.utime(path, (time.time() - hours * HOUR,) * 2)


def test_the_files_of_a_day_become_one(settings: Settings, log: Log) -> None:
    own = table_of(settings)
    before, rows = files_of(settings), world.digest(own.table)
    report = maintain(own, settings)
    after = files_of(settings)
    assert len(before) == report.files_combined > report.files_made == len(after) == 3
    assert len({name.partition("/")[0] for name in after}) == 3
    assert world.digest(table_of(settings).table) == rows
    assert maintain(own, settings).files_combined == 0


def test_it_carries_the_offsets_on(settings: Settings, log: Log) -> None:
    maintain(table_of(settings), settings)
    assert archive_all(settings, log).counted("records_consumed_total") == 0


def test_a_day_that_is_not_over_is_left_alone(settings: Settings, log: Log) -> None:
    before = files_of(settings)
    own = table_of(settings)
    newest = max(task.file.partition[0] for task in own.table.scan().plan_files())
    report = maintain(own, settings, clock=lambda: newest * 86_400.0 + 1)
    after = files_of(settings)
    (day,) = {name.partition("/")[0] for name in before[-1:]}
    assert report.files_made == 2
    assert [name for name in after if name.startswith(day)] == [
        name for name in before if name.startswith(day)
    ]


@pytest.mark.parametrize(("period", "rows_of"), [("month", [4, 62, 60, 54]), ("day", [2] * 90)])
def test_a_feed_of_daily_prices_has_a_file_a_month_unless_its_table_is_older(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    period: Literal["day", "month"],
    rows_of: list[int],
) -> None:
    settings, made = settings_in(tmp_path, feeds=["stocks"], archive_flush_rows=1000), Log()
    made.make(STOCKS.topic, 1)
    monkeypatch.setitem(FEEDS, "stocks", replace(STOCKS, archive_period=period))
    table_of(settings, "stocks")
    monkeypatch.undo()
    prices = [msgspec.json.encode(stock(100.0 + n, minutes=-1440 * n)) for n in range(90)]
    for _ in range(2):  # a producer that restarts may send an event again
        made.add(STOCKS.topic, 0, *prices)
        archive_all(settings, made)
    own = table_of(settings, "stocks")
    before = world.digest(own.table)
    report = maintain(own, settings, clock=START.timestamp)
    files = [task.file for task in own.table.scan().plan_files()]
    rows: Counter[int] = Counter()
    for file in files:
        rows[file.partition[0]] += file.record_count
    assert [count for _, count in sorted(rows.items(), reverse=True)] == rows_of
    # The files of the newest period, which is not over, are left alone.
    assert report.files_made == len(rows_of) - 1 == len(files) - 2
    assert world.digest(own.table) == before


def test_rows_that_do_not_fit_into_memory_become_several_files(
    settings: Settings, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    written = files.write

    def write(table: Any, rows: Any, **options: Any) -> Any:
        sizes.append(rows.nbytes)
        return written(table, rows, **options)

    own, limit = table_of(settings), 20_000
    largest = max(
        batch.nbytes
        for task in own.table.scan().plan_files()
        for batch in compaction._batches(own.table, [task])
    )
    rows = world.digest(own.table)
    monkeypatch.setattr(files, "write", write)
    combined = compaction.compact(own, LATER, limit, lambda: None)
    names = [name.partition("/")[2] for name in files_of(settings)]
    assert sum(name.startswith("full-") for name in names) > 3
    assert max(sizes) < limit + largest
    assert world.digest(own.table) == rows
    assert combined.after == len(sizes)
    # What is full is combined no more, and what remains alone has nothing to be combined with.
    assert compaction.compact(own, LATER, limit, lambda: None).before == 0


def test_late_events_are_combined_with_what_remained(settings: Settings, log: Log) -> None:
    maintain(table_of(settings), settings)
    log.quotes(60, first=600)
    archive_all(settings, log)
    assert len(files_of(settings)) > 3
    maintain(table_of(settings), settings)
    assert world.positions(table_of(settings).table) == world.positions_in(log)
    assert len(files_of(settings)) == 3


def test_a_file_that_cannot_be_read_is_left_and_named(settings: Settings, log: Log) -> None:
    own = table_of(settings)
    broken = sorted(own.table.scan().plan_files(), key=lambda t: t.file.file_path)[0].file
    path = Path(broken.file_path.removeprefix("file://"))
    content = path.read_bytes()
    path.write_bytes(b"PAR1" + b"\0" * (len(content) - 8) + b"PAR1")
    before = files_of(settings)
    report = maintain(own, settings)
    assert report.periods_failed == 1
    assert report.files_made == 2
    day = before[0].partition("/")[0]
    same = [name for name in before if name.startswith(day)]
    assert [name for name in files_of(settings) if name.startswith(day)] == same
    path.write_bytes(content)
    assert world.positions(table_of(settings).table) == world.positions_in(log)


def test_a_file_that_is_missing_is_named(settings: Settings, log: Log, capfd: Any) -> None:
    own = table_of(settings)
    path = Path(next(iter(own.table.scan().plan_files())).file.file_path.removeprefix("file://"))
    path.unlink()
    assert maintain(own, settings).periods_failed == 1
    assert path.name in capfd.readouterr().out


def test_old_snapshots_are_dropped_and_their_files_removed(
    settings: Settings, log: Log, tmp_path: Path
) -> None:
    changed = settings.model_copy(update={"archive_snapshot_seconds": HOUR})
    own, now = table_of(settings), time.time()
    report = maintain(own, changed, clock=lambda: now + 0.5 * HOUR)
    assert (report.snapshots_expired, report.files_removed) == (0, 0)
    aged(tmp_path / "warehouse")
    report = maintain(own, changed, clock=lambda: now + 2 * HOUR)
    assert report.snapshots_expired > 3
    assert report.files_removed > 10
    table = table_of(settings).table
    assert len(table.snapshots()) == 1
    kept = {name.removeprefix("file://") for name in orphans.used(table)}
    assert on_disk(tmp_path / "warehouse") == kept
    assert world.positions(table) == world.positions_in(log)


def test_files_that_a_snapshot_uses_or_that_are_young_are_not_removed(
    settings: Settings, log: Log, tmp_path: Path
) -> None:
    folder = tmp_path / "warehouse"
    own = table_of(settings)
    maintain(own, settings)
    before = on_disk(folder)
    aged(folder)
    young = folder / "quotes/data/part-young.parquet"
    young.write_bytes(b"being written")
    left_over = folder / "quotes/data/part-old.parquet"
    left_over.write_bytes(b"of a writer that was killed")
    os.utime(left_over, (time.time() - 100 * HOUR,) * 2)
    report = maintain(own, settings)
    assert report.files_removed == 1
    assert before | {str(young)} <= on_disk(folder)
    for snapshot in own.table.snapshots():
        rows = own.table.scan(snapshot_id=snapshot.snapshot_id).to_arrow().num_rows
        assert snapshot.summary
        assert rows == int(snapshot.summary.additional_properties["total-records"])


def test_metadata_does_not_grow_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fewer = {"commit.manifest.min-count-to-merge": "5", "write.metadata.previous-versions-max": "3"}
    assert fewer.keys() <= tables.PROPERTIES.keys()
    monkeypatch.setattr(tables, "PROPERTIES", tables.PROPERTIES | fewer)
    settings, log = settings_in(tmp_path, archive_flush_rows=1), Log()
    for n in range(12):
        log.quotes(5, first=5 * n)
        if n == 0:
            archiver = Archiver(settings, log)
        archiver.steps(1)
    archiver.finish()
    table = table_of(settings).table
    assert archiver.counted("commits_total") == 12
    snapshot = table.current_snapshot()
    assert snapshot
    assert len(snapshot.manifests(table.io)) < 6
    assert len(list((tmp_path / "warehouse/quotes/metadata").glob("*.metadata.json"))) <= 4
    assert world.positions(table) == world.positions_in(log)


class Reading:
    """A reader in a loop."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.found: list[list[tuple[int, int]]] = []
        self.errors: list[Exception] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._read)

    def _read(self) -> None:
        while not self._over.is_set():
            try:
                self.found.append(world.positions(table_of(self.settings).table))
            except Exception as error:
                self.errors.append(error)

    def __enter__(self) -> "Reading":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


def test_a_reader_sees_every_row_once_during_maintenance(
    settings: Settings, log: Log, tmp_path: Path
) -> None:
    changed = settings.model_copy(update={"archive_snapshot_seconds": 0.5})
    expected = world.positions_in(log)
    with Reading(settings) as reading:
        for n in range(3):
            log.quotes(30, first=600 + 30 * n)
            archive_all(settings, log)
            maintain(table_of(settings), changed)
        deadline = time.monotonic() + 10
        while len(reading.found) < 10 and time.monotonic() < deadline:
            maintain(table_of(settings), changed)
    assert reading.errors == []
    for found in reading.found:
        assert len(found) == len(set(found)) >= len(expected)
        assert set(expected) <= set(found) <= set(world.positions_in(log))


def test_an_archiver_maintains_its_tables(
    settings: Settings, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    archiver = Archiver(settings, log)
    archiver.steps(1)
    assert archiver.counted("files_combined_total") == 0
    hurried = settings.model_copy(update={"archive_maintain_seconds": 1e-3})
    archiver = Archiver(hurried, log)
    archiver.steps(1)
    assert archiver.counted("files_combined_total") > 3
    assert archiver.counted("maintained_seconds") > 0
    assert archiver.beats > 3
    assert maintenance.is_due(archiver.streams[QUOTES.topic].table, hurried, time.time() + 1)
    assert not maintenance.is_due(archiver.streams[QUOTES.topic].table, settings, time.time())


def test_maintenance_does_not_hide_another_archiver(
    settings: Settings, log: Log, tmp_path: Path
) -> None:
    log.quotes(100, first=600)
    first = Archiver(settings_in(tmp_path), log)
    first.steps(1)
    archive_all(settings, log)
    maintain(first.streams[QUOTES.topic].table, settings)
    with pytest.raises(Fenced):
        first.finish()
    assert world.positions(table_of(settings).table) == world.positions_in(log)


def millrace(settings: Settings, *words: str) -> Any:
    """What a command of `millrace archive` does."""
    given = {
        "MILLRACE_ARCHIVE_CATALOG": settings.archive_catalog,
        "MILLRACE_ARCHIVE_WAREHOUSE": settings.archive_warehouse,
        "MILLRACE_FEEDS": '["quotes", "metals"]',
        "MILLRACE_SECRETS_DIR": "/nonexistent",
    }
    return CliRunner().invoke(app, ["archive", *words], env=given)


def test_the_commands_say_what_they_did_and_what_is_there(
    settings: Settings, log: Log, tmp_path: Path
) -> None:
    done = millrace(settings, "maintain")
    assert done.exit_code == 0
    (report,) = json.loads(done.stdout[done.stdout.index("[\n") :])
    assert report["feed"] == "quotes"
    assert report["files_made"] == 3
    done = millrace(settings, "tables", "--json")
    (listed,) = json.loads(done.stdout)
    assert (listed["feed"], listed["rows"], listed["files"]) == ("quotes", 600, 3)
    assert listed["next"] == {str(p): len(found) for (_, p), found in log.records.items()}
    assert listed["metadata"] == table_of(settings).table.metadata_location
    assert "600" in millrace(settings, "tables").stdout
    for path in (tmp_path / "warehouse").rglob("*.parquet"):
        path.unlink()
    assert millrace(settings, "tables").exit_code == 0
    log.quotes(10, first=600)
    archive_all(settings, log)
    assert millrace(settings, "maintain").exit_code == Exit.FAILED


def test_a_command_that_fails_for_now_says_so(
    settings: Settings, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    with failing("millrace.archive.catalog:load_catalog", OSError(errno.EIO, "Input/output error")):
        done = millrace(settings, "tables")
    assert isinstance(done.exception, MillraceError)
    assert str(done.exception) == "the archive, open its catalog: [Errno 5] Input/output error"
