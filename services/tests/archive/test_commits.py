"""Rows and offsets are one commit: what else may happen to it, and to a table meanwhile."""

import pytest
from pyiceberg.exceptions import CommitFailedException
from services.tests.archive import world
from services.tests.archive.world import (
    Archiver,
    Log,
    archive_all,
    failing,
    table_of,
)

from millrace.archive import catalog
from millrace.archive.catalog import namespace
from millrace.archive.failures import Fenced
from millrace.archive.tables import OWNER, ForeignTable, Unknowable
from millrace.config import Settings
from millrace.feeds.quotes import QUOTES
from millrace.processor.errors import Permanent
from millrace.runtime.exit_codes import Exit

COMMIT = "pyiceberg.catalog.sql:SqlCatalog.commit_table"


@pytest.fixture
def log() -> Log:
    made = Log()
    made.quotes(300)
    return made


def is_whole(settings: Settings, log: Log) -> bool:
    return world.positions(table_of(settings).table) == world.positions_in(log)


def test_of_two_archivers_one_ends(settings: Settings, log: Log) -> None:
    first, second = Archiver(settings, log), Archiver(settings, log)
    first.steps(4)
    second.steps(4)
    first.finish()
    with pytest.raises(Fenced, match="another archiver writes the table quotes") as caught:
        second.finish()
    assert caught.value.exit_code == Exit.FENCED
    assert is_whole(settings, log)


def test_another_archiver_is_found_out_by_one_that_rests(settings: Settings, log: Log) -> None:
    first = Archiver(settings, log)
    first.steps(4)
    with failing(COMMIT, OSError("lost")):
        first.loop._flush(first.streams[QUOTES.topic])
    archive_all(settings, log)
    with pytest.raises(Fenced):
        first.until(lambda: False)
    assert is_whole(settings, log)


def test_a_commit_that_was_made_although_it_failed_is_not_made_again(
    settings: Settings, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pyiceberg.catalog.sql import SqlCatalog

    made = SqlCatalog.commit_table
    answers: list[Exception | None] = [OSError("the answer is lost"), CommitFailedException("late")]

    def lost(*arguments: object) -> object:
        done = made(*arguments)  # type: ignore[arg-type]
        if answers and (error := answers.pop(0)):
            raise error
        return done

    archiver = Archiver(settings, log)
    archiver.steps(2)
    monkeypatch.setattr(SqlCatalog, "commit_table", lost)
    stream = archiver.streams[QUOTES.topic]
    archiver.loop._flush(stream)
    assert stream.rests
    log.quotes(100, first=300)
    archiver.until(lambda: stream.age)
    archiver.finish()
    assert answers == []
    assert is_whole(settings, log)


def test_a_commit_of_maintenance_in_between_does_not_matter(settings: Settings, log: Log) -> None:
    archive_all(settings, log)
    log.quotes(50, first=300)
    archiver = Archiver(settings, log)
    archiver.steps(3)
    other = table_of(settings)
    old = [task.file for task in other.table.scan().plan_files()]
    from millrace.archive import files

    new = files.write(other.table, other.table.scan().to_arrow())
    assert other.replace(old, new, lambda: True)
    archiver.finish()
    assert is_whole(settings, log)
    assert archive_all(settings, log).counted("records_consumed_total") == 0


def test_files_that_are_gone_are_not_replaced(settings: Settings, log: Log) -> None:
    archive_all(settings, log)
    assert not table_of(settings).replace([], [], lambda: False)


def test_a_commit_that_always_comes_too_late_is_tried_later(settings: Settings, log: Log) -> None:
    archiver = Archiver(settings, log)
    archiver.steps(4)
    errors = [CommitFailedException("late") for _ in range(11)]
    with failing(COMMIT, *errors):
        archiver.loop._flush(archiver.streams[QUOTES.topic])
        trouble = archiver.streams[QUOTES.topic].trouble
        assert trouble
        assert "changed during 10 commits" in trouble
    stream = archiver.streams[QUOTES.topic]
    archiver.until(lambda: not stream.rests)
    archiver.steps(4)
    archiver.finish()
    assert is_whole(settings, log)


def test_a_snapshot_of_another_program_does_not_hide_the_offsets(
    settings: Settings, log: Log
) -> None:
    archive_all(settings, log)
    table = table_of(settings).table
    table.delete("symbol == 'S1'")
    assert archive_all(settings, log).counted("records_consumed_total") == 0


def test_rows_of_which_no_snapshot_says_where_they_are_from_are_refused(
    settings: Settings, log: Log
) -> None:
    table = table_of(settings).table
    from services.tests.archive.test_rows import rows_of

    table.append(rows_of(table, 3))
    with pytest.raises(Unknowable, match="none of its snapshots says how far"):
        Archiver(settings, log)


def test_a_table_of_somebody_else_is_refused(settings: Settings, log: Log) -> None:
    made = catalog.opened(settings)
    schema = table_of(settings).table.schema()
    made.drop_table((namespace(settings), "quotes"))
    made.create_table((namespace(settings), "quotes"), schema)
    with pytest.raises(ForeignTable, match=f"lacks the property {OWNER}=quotes"):
        Archiver(settings, log)


def test_a_table_that_is_dropped_ends_the_archiver(settings: Settings, log: Log) -> None:
    archiver = Archiver(settings, log)
    archiver.steps(2)
    catalog.opened(settings).drop_table((namespace(settings), "quotes"))
    with pytest.raises(Permanent, match="quotes"):
        archiver.finish()
