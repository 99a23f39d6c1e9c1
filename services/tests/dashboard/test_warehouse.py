"""The warehouse's file: read within limits, and the new one after a build."""

import threading
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from millrace.dashboard import warehouse
from millrace.dashboard.trouble import Trouble
from millrace.dashboard.warehouse import Warehouse


def built(path: Path, number: int) -> None:
    """Put a database in the place of the one that is there, as a build does."""
    beside = path.with_suffix(".new")
    with duckdb.connect(beside) as connection:
        connection.execute(f"create table numbers as select {number} as n")
    beside.replace(path)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "millrace.duckdb"
    built(path, 1)
    return path


@pytest.fixture
def opened(path: Path) -> Iterator[Warehouse]:
    found = Warehouse(path, seconds=0.3)
    yield found
    found.close()


def test_a_file_that_was_replaced_is_opened_again(opened: Warehouse, path: Path) -> None:
    before = opened.version()
    assert opened.read("from numbers")["n"].tolist() == [1]
    built(path, 2)
    assert opened.version() != before
    assert opened.read("from numbers")["n"].tolist() == [2]


def test_nothing_can_be_changed_or_read_beside_it(opened: Warehouse, path: Path) -> None:
    with pytest.raises(Trouble):
        opened.read("select * from read_csv('/etc/passwd')")
    opened.read("from numbers")
    assert opened._opened
    with pytest.raises(duckdb.Error, match="read-only"):
        opened._opened[1].execute("insert into numbers values (3)")


def test_what_takes_too_long_ends_and_the_next_question_is_answered(opened: Warehouse) -> None:
    endless = "select count(*) from range(100000000) a, range(100000000) b where a.range < b.range"
    with pytest.raises(Trouble, match="choose a shorter range"):
        opened.read(endless)
    assert opened.read("from numbers where n = ?", [1])["n"].tolist() == [1]


def test_a_question_does_not_wait_for_ever_for_another(opened: Warehouse) -> None:
    with opened._alone():
        caught: list[Exception] = []

        def ask() -> None:
            try:
                opened.read("from numbers")
            except Trouble as error:
                caught.append(error)

        thread = threading.Thread(target=ask)
        thread.start()
        thread.join(10)
    assert "busy" in str(caught[0])


def test_too_many_rows_are_no_answer(opened: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warehouse, "MOST_ROWS", 10)
    assert len(opened.read("from range(10)")) == 10
    with pytest.raises(Trouble, match="more than 10 rows"):
        opened.read("from range(11)")


def test_what_is_not_there_or_no_database_is_said(tmp_path: Path) -> None:
    path = tmp_path / "no.duckdb"
    with pytest.raises(Trouble, match="millrace warehouse build"):
        Warehouse(path).read("select 1")
    path.write_bytes(b"no database" * 1000)
    with pytest.raises(Trouble, match="cannot be opened"):
        Warehouse(path).read("select 1")
