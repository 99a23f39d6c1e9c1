"""What a build does to the database that is there, and what it says when it cannot be made."""

import os
import re
import resource
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

import duckdb
import msgspec
import pytest
from services.tests.feeds.events import metal
from services.tests.warehouse.world import Archive, arrived, rows_of, settings_of
from typer.testing import CliRunner, Result

from millrace.cli import app
from millrace.config import Settings
from millrace.feeds import FEEDS
from millrace.runtime.exit_codes import Exit
from millrace.warehouse import building, child, dbt, files, landing
from millrace.warehouse.contents import Built, Contents

MEBIBYTE = 1024 * 1024
SOON = 120.0


def invoke(*words: str, **settings: object) -> Result:
    """What a command did."""
    environment = {f"MILLRACE_{name.upper()}": str(value) for name, value in settings.items()}
    return CliRunner().invoke(app, ["warehouse", *words], env=environment)


def run(*words: str, **settings: object) -> tuple[int, str]:
    """The exit code of a command, and its error or what it printed."""
    done = invoke(*words, **settings)
    return done.exit_code, str(done.exception or done.stdout)


def where(settings: Settings) -> dict[str, str]:
    """The settings that say where archive and warehouse are."""
    names = ("archive_catalog", "archive_warehouse", "warehouse_file")
    return {name: str(getattr(settings, name)) for name in names}


@pytest.fixture(scope="module")
def metals(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A warehouse of metals alone."""
    settings = settings_of(tmp_path_factory.mktemp("metals"))
    Archive(settings).append("metals", arrived(metal(2000.0 + n, hours=n) for n in range(3)))
    done = invoke("build", "--json", **where(settings))
    assert done.exit_code == Exit.OK, done.output
    assert "quotes: not in the archive\n" in done.stderr
    assert re.search(r"built .* anew: 3 events, \d+ tests passed, \d+ s\n$", done.stderr)
    built = msgspec.json.decode(done.stdout, type=Built)
    assert built.tests > 50
    assert built.seconds > 0
    assert built.memory_bytes > 50 * MEBIBYTE
    assert built.contents.is_full
    assert built.contents.new_events == 3
    return settings


def left_over(settings: Settings) -> list[str]:
    """What is in the folder of the database, and is neither it nor the archive."""
    own = {"catalog.db", "warehouse", settings.warehouse_file.name}
    lock = f".{settings.warehouse_file.name}.lock"
    return sorted({path.name for path in settings.warehouse_file.parent.iterdir()} - own - {lock})


def test_models_are_about_every_feed() -> None:
    assert {*landing.STAGED} == {*FEEDS}


def test_a_feed_that_the_archive_lacks_is_empty(metals: Settings) -> None:
    found = rows_of(metals.warehouse_file, "select feed, events, status from feed_freshness")
    absent = {row["feed"] for row in found if row["status"] == "absent"}
    assert absent == {*FEEDS} - {"metals"}
    assert rows_of(metals.warehouse_file, "from latest_stock_prices") == []
    assert left_over(metals) == []


def test_a_build_that_fails_leaves_what_is_there(
    metals: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = metals.warehouse_file.read_bytes()
    project = tmp_path / "project"
    shutil.copytree(dbt.PROJECT, project)
    (project / "models" / "marts" / "feed_gaps.sql").write_text("select no_such_column")
    monkeypatch.setattr(dbt, "PROJECT", project)
    with pytest.raises(dbt.DbtFailed, match=r"^feed_gaps: .*no_such_column"):
        building.build(metals, full=False)
    assert metals.warehouse_file.read_bytes() == before
    assert left_over(metals) == []


def test_what_other_models_built_is_built_anew(
    metals: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert building._is_of_these_models(metals, metals.warehouse_file)
    monkeypatch.setattr(dbt, "digest", lambda: "another")
    assert not building._is_of_these_models(metals, metals.warehouse_file)


def test_what_is_no_database_is_built_anew(tmp_path: Path) -> None:
    database = tmp_path / "millrace.duckdb"
    database.write_bytes(b"no database")
    assert not building._is_of_these_models(settings_of(tmp_path), database)


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    database = tmp_path / "millrace.duckdb"
    code = (
        "import os, pathlib, sys; from millrace.warehouse import files\n"
        "with files.workplace(pathlib.Path(sys.argv[1])) as folder:\n"
        "    (folder / 'half').touch(); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", code, database], check=False, timeout=60)
    assert [*tmp_path.glob(".*/half")]
    with files.workplace(database) as folder:
        assert [*folder.iterdir()] == []


def test_a_published_database_replaces_the_one_that_readers_keep(tmp_path: Path) -> None:
    database, built = tmp_path / "millrace.duckdb", tmp_path / "built"
    for path, number in ((database, 1), (built, 2)):
        with duckdb.connect(path) as connection:
            connection.execute(f"create table t as select {number} as n")
    with duckdb.connect(database, read_only=True) as reader:
        files.publish(built, database)
        assert reader.execute("from t").fetchall() == [(1,)]
    assert rows_of(database, "from t") == [{"n": 2}]


def test_a_second_build_at_a_time_is_refused(tmp_path: Path) -> None:
    database = tmp_path / "millrace.duckdb"
    with (
        files.workplace(database),
        pytest.raises(files.Busy, match="another process builds"),
        files.workplace(database),
    ):
        pass


def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    code, said = run("test", warehouse_file=tmp_path / "file" / "millrace.duckdb")
    assert code == Exit.FAILED
    assert f"cannot build in {tmp_path}/file" in said


def test_what_duckdb_cannot_do_is_one_line(tmp_path: Path) -> None:
    database = tmp_path / "w.duckdb"
    with (
        pytest.raises(files.Failed, match=f"cannot build {database}: .*no_such"),
        files.workplace(database),
        duckdb.connect() as connection,
    ):
        connection.execute("from no_such")
    assert not [*tmp_path.glob(".*.build")]


def test_an_archive_that_is_not_there_is_named(tmp_path: Path) -> None:
    catalog = f"sqlite:///{tmp_path}/none.db"
    code, said = run("build", warehouse_file=tmp_path / "w.duckdb", archive_catalog=catalog)
    assert code == Exit.FAILED
    assert said == f"there is no archive: {catalog} does not exist"
    assert [path.name for path in tmp_path.iterdir()] == [".w.duckdb.lock"]


def test_what_it_has_is_shown(metals: Settings) -> None:
    code, said = run("show", "--json", warehouse_file=metals.warehouse_file)
    assert code == Exit.OK
    found = msgspec.json.decode(said, type=Contents)
    assert found.feeds["metals"].events == 3
    assert found.feeds["metals"].newest is not None
    assert found.feeds["quotes"].newest is None
    assert found.bytes == metals.warehouse_file.stat().st_size
    code, said = run("show", warehouse_file=metals.warehouse_file)
    assert f"Built at {found.built_at:%F %T} UTC" in said
    assert re.search(r"metals +│ 3 ", said)
    assert re.search(r"quotes +│ 0 .* absent ", said)


def agreement(settings: Settings, database: Path) -> dict[str, tuple[str, bool]]:
    """What each check of the counts of metals found."""
    done = invoke("verify", "--json", **{**where(settings), "warehouse_file": database})
    report = msgspec.json.decode(done.stdout)
    assert report["ok"] == (done.exit_code == Exit.OK)
    return {one["name"]: (one["found"], one["ok"]) for one in report["checks"][:2]}


RECORDS = "records of the snapshot that was read"


def test_counts_are_those_of_the_snapshot_that_was_read(metals: Settings, tmp_path: Path) -> None:
    # What comes later counts for nothing.
    Archive(metals).append("metals", arrived([metal(1.0, hours=9)], partition=7))
    right = {RECORDS: ("3 in the archive, 3 in the warehouse", True)}
    right["events"] = ("3 counted, 3 there", True)
    assert agreement(metals, metals.warehouse_file) == right
    for statement, name, found in (
        ("update archived_records set records = 2", RECORDS, "3 in the archive, 2 in"),
        ("delete from staging.stg_metals where price = 2000", "events", "3 counted, 2 there"),
        ("update builds set snapshots = '{\"metals\": 1}'", RECORDS, "no such snapshot any more"),
    ):
        changed = tmp_path / "changed.duckdb"
        shutil.copyfile(metals.warehouse_file, changed)
        with duckdb.connect(changed) as connection:
            connection.execute(statement)
        said, is_right = agreement(metals, changed)[name]
        assert (said.startswith(found), is_right) == (True, False), said


def test_a_catalog_that_is_locked_is_named(metals: Settings) -> None:
    before = metals.warehouse_file.read_bytes()
    path = metals.archive_catalog.removeprefix("sqlite:///")
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("begin exclusive")
        code, said = run("build", **where(metals))
    assert code == Exit.FAILED
    assert "the archive, " in said
    assert "database is locked" in said
    assert metals.warehouse_file.read_bytes() == before


def test_a_file_of_the_archive_that_is_damaged_is_named(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    Archive(settings).append("metals", arrived([metal(1.0)]))
    [file] = (tmp_path / "warehouse").rglob("*.parquet")
    file.write_bytes(file.read_bytes()[:-100])
    code, said = run("build", **where(settings))
    assert code == Exit.FAILED
    assert f"the archive, read its table metals: file://{file} cannot be read: " in said
    assert left_over(settings) == []


def started(settings: Settings, before: Callable[[], None] | None = None) -> subprocess.Popen[str]:
    """A build in a process of its own."""
    names = {f"MILLRACE_{name.upper()}": value for name, value in where(settings).items()}
    return subprocess.Popen(
        [*child.PROGRAM, "warehouse", "build"],
        env={**os.environ, **names},
        preexec_fn=before,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_a_disk_without_space_is_named(metals: Settings) -> None:
    before = metals.warehouse_file.read_bytes()
    small = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (100_000, 100_000))
    done = started(metals, small)
    said, _ = done.communicate(timeout=SOON)
    assert done.returncode == Exit.FAILED
    assert re.search("(?m)^millrace: cannot build .*(File too large|No space left)", said)
    assert metals.warehouse_file.read_bytes() == before
    assert left_over(metals) == []


def test_a_build_that_is_killed_leaves_what_is_there(metals: Settings) -> None:
    before = metals.warehouse_file.read_bytes()
    build = started(metals)
    deadline = time.monotonic() + SOON
    while not [*metals.warehouse_file.parent.glob(".*.build/landing.duckdb")]:
        assert build.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    build.kill()
    build.communicate(timeout=SOON)
    assert metals.warehouse_file.read_bytes() == before
    assert building.show(metals).feeds["metals"].events == 3


def test_a_database_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    database = tmp_path / "w.duckdb"
    database.write_bytes(b"no database")
    code, said = run("show", warehouse_file=database)
    assert code == Exit.FAILED
    assert said.startswith(f"cannot read {database}: ")


@pytest.mark.parametrize("words", [("test",), ("show",), ("docs", "--to", "page")])
def test_a_warehouse_that_is_not_there_is_named(tmp_path: Path, words: tuple[str, ...]) -> None:
    database = tmp_path / "w.duckdb"
    code, said = run(*words, warehouse_file=database)
    assert code == Exit.FAILED
    assert said == f"there is no warehouse at {database}: millrace warehouse build makes it"
