"""Every number of every model equals that of a plain computation; building on is building anew."""

import io
import math
import re
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import msgspec
import pytest
import yaml
from services.tests.feeds.events import START
from services.tests.warehouse import oracle, seeded
from services.tests.warehouse.world import Archive, Arrival, rows_of, settings_of

from millrace.config import Settings
from millrace.warehouse import building
from millrace.warehouse.dbt import PROJECT

MODELS = sorted(path.stem for path in (PROJECT / "models").rglob("*.sql"))
OF_THE_RUN = {"loaded_at"}
NOT_COMPUTED = {"builds", "gpu_prices"}


class Built(NamedTuple):
    settings: Settings
    archive: Archive
    arrivals: dict[str, list[Arrival]]
    seen_before: int
    """The events of a reader that had opened the database before it was built on."""
    said: str


def schema_of(model: str) -> str:
    return "staging" if model.startswith(("stg_", "int_", "gpu_prices")) else "main"


def table(database: Path, model: str) -> list[dict[str, Any]]:
    rows = rows_of(database, f"from {schema_of(model)}.{model}")
    return [{n: v for n, v in row.items() if n not in OF_THE_RUN} for row in rows]


def ordered(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows in an order that does not depend on how numbers were rounded."""
    named = [dict(sorted(row.items())) for row in rows]
    return sorted(
        named, key=lambda row: [repr(v) for v in row.values() if not isinstance(v, float | None)]
    )


def same(one: Any, other: Any) -> bool:
    """Whether values are equal; the sum of fractions depends on their order."""
    if isinstance(one, float) and isinstance(other, int | float):
        return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-12)
    return bool(one == other)


def assert_equal(found: list[dict[str, Any]], expected: list[dict[str, Any]], model: str) -> None:
    assert len(found) == len(expected), model
    for one, other in zip(ordered(found), ordered(expected), strict=True):
        assert [*one] == [*other], model
        wrong = {name: (one[name], other[name]) for name in one if not same(one[name], other[name])}
        assert not wrong, (model, one)


@contextmanager
def building_at(hours: float) -> Iterator[None]:
    """Build so many hours after the start, and call nobody."""

    def connect(*_given: Any) -> None:
        raise AssertionError("the warehouse calls somebody")

    time = START.replace(tzinfo=None) + timedelta(hours=hours)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(building, "now", lambda: time)
        patch.setattr(socket.socket, "connect", connect)
        yield


def append(archive: Archive, part: dict[str, list[Arrival]]) -> None:
    for feed, arrivals in part.items():
        if arrivals:
            archive.append(feed, arrivals)


def build(folder: Path) -> Built:
    """A warehouse that was built of a first part, and built on with two others."""
    settings = settings_of(folder)
    archive = Archive(settings)
    first, second, third = seeded.parts()
    append(archive, first)
    with building_at(2):
        building.build(settings, full=False)
    with duckdb.connect(settings.warehouse_file, read_only=True) as reader:
        append(archive, second)
        said = io.StringIO()
        with building_at(24), redirect_stdout(said):
            building.build(settings, full=False)
        [(seen,)] = reader.execute("select count(*) from staging.int_events").fetchall()
    append(archive, third)
    with building_at(24.01):
        building.build(settings, full=False)
    every = {feed: [*first[feed], *second[feed], *third[feed]] for feed in first}
    return Built(settings, archive, every, seen, said.getvalue())


def expected_of(built: Built, hours: float) -> Any:
    built_at = START.replace(tzinfo=None) + timedelta(hours=hours)
    return oracle.models(built.arrivals, built.settings.stock_alert_threshold, built_at)


def test_every_number_of_every_model_equals_the_oracle(built: Built) -> None:
    expected = expected_of(built, 24.01)
    assert {*expected} == {*MODELS} - NOT_COMPUTED
    for model, rows in expected.items():
        assert rows, model
        assert_equal(table(built.settings.warehouse_file, model), rows, model)


def test_building_on_reads_what_is_new_alone(built: Built) -> None:
    first, second, third = seeded.parts()
    builds = rows_of(built.settings.warehouse_file, "from builds order by started_at")
    assert [row["is_full"] for row in builds] == [True, False, False]
    events = [{event.event_id for event, *_ in arrivals} for arrivals in first.values()]
    assert builds[0]["new_events"] == sum(map(len, events))
    assert builds[2]["new_events"] == sum(map(len, third.values())) == len(seeded.LAST)
    for feed, arrivals in second.items():
        assert f"{feed}: {len(arrivals):,} new records" in built.said


def test_a_reader_that_has_it_open_keeps_what_it_opened(built: Built) -> None:
    builds = rows_of(built.settings.warehouse_file, "from builds order by started_at")
    assert built.seen_before == builds[0]["new_events"]


def test_every_column_is_described(built: Built) -> None:
    described = {
        model["name"]: {column["name"] for column in model["columns"]}
        for path in PROJECT.rglob("*.yml")
        for model in yaml.safe_load(path.read_text()).get("models") or []
        if isinstance(model, dict)
    }
    query = (
        "select table_name, list(column_name) as names from information_schema.columns group by all"
    )
    rows = rows_of(built.settings.warehouse_file, query)
    found = {row["table_name"]: {*row["names"]} for row in rows}
    assert described == {name: found[name] for name in MODELS}


def test_a_database_can_be_renamed_and_attached(built: Built, tmp_path: Path) -> None:
    copied = shutil.copy(built.settings.warehouse_file, tmp_path / "other.duckdb")
    with duckdb.connect() as connection:
        connection.execute(f"attach '{copied}' as w (read_only)")
        assert connection.execute("from w.feed_freshness").fetchall()


def test_a_page_describes_the_models(built: Built, tmp_path: Path) -> None:
    with building_at(25):
        building.docs(built.settings, tmp_path / "page")
    page = (tmp_path / "page" / "index.html").read_text()
    assert "What a token cost in each hour, by model." in page


def test_the_tests_of_data_and_calculations_pass(
    built: Built, capsys: pytest.CaptureFixture[str]
) -> None:
    with building_at(25):
        building.test(built.settings)
    assert re.fullmatch(r"\d+ tests passed\n", capsys.readouterr().out)


def test_a_record_that_comes_before_its_copy_makes_all_be_built_anew(built: Built) -> None:
    event, partition, at = built.arrivals["stocks"][0]
    other = msgspec.structs.replace(event, price=77.0)
    earlier = (other, (partition + 1) % 3, at - timedelta(minutes=1))
    built.archive.append("stocks", [earlier])
    built.arrivals["stocks"].append(earlier)
    with building_at(26):
        building.build(built.settings, full=False)
    [build] = rows_of(built.settings.warehouse_file, "from builds")
    assert build["is_full"]
    for model, rows in expected_of(built, 26).items():
        assert_equal(table(built.settings.warehouse_file, model), rows, model)
