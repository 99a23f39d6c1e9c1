"""Snowflake's warehouse has the same numbers, loads each record once, and says what is wrong."""

import io
from collections.abc import Iterator
from contextlib import redirect_stdout
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
import snowflake.connector
from services.tests.feeds.events import START, metal
from services.tests.warehouse import oracle, seeded
from services.tests.warehouse.emulated import emulated, rows_in
from services.tests.warehouse.test_models import (
    MODELS,
    NOT_COMPUTED,
    OF_THE_RUN,
    append,
    assert_equal,
    schema_of,
)
from services.tests.warehouse.world import Archive, arrived

from millrace.archive.maintenance import maintain
from millrace.archive.tables import FeedTable
from millrace.config import Settings
from millrace.feeds import FEEDS
from millrace.feeds.gpus import all_prices
from millrace.warehouse import agreement, building
from millrace.warehouse.dbt import Dbt
from millrace.warehouse.files import NoWarehouse
from millrace.warehouse.snowflake import connecting, loading
from millrace.warehouse.snowflake.loading import BUILDING, BUILT, LOADING

STATE = "select build, phase, positions from landing.state"


class Built(NamedTuple):
    settings: Settings
    archive: Archive
    said: list[str]
    before: str
    """What was said of it before."""


def build_at(settings: Settings, hours: float) -> str:
    said = io.StringIO()
    time = START.replace(tzinfo=None) + timedelta(hours=hours)
    with pytest.MonkeyPatch.context() as change, redirect_stdout(said):
        change.setattr(building, "now", lambda: time)
        building.build(settings, full=False)
    return said.getvalue()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Built]:
    """A warehouse that was built of a first part, and built on; files were combined meanwhile."""
    with emulated(tmp_path_factory.mktemp("snowflake")) as settings:
        archive = Archive(settings)
        with pytest.raises(NoWarehouse) as before:
            agreement.verify(settings)
        first, second, third = seeded.parts()
        append(archive, first)
        said = [build_at(settings, 2)]
        append(archive, second)
        own = FeedTable(archive.catalog, settings, FEEDS["metals"])
        assert maintain(own, settings).files_combined
        append(archive, third)
        said.append(build_at(settings, 24.01))
        yield Built(settings, archive, said, str(before.value))


def table(model: str) -> list[dict[str, Any]]:
    schema = "staging" if schema_of(model) == "staging" else "marts"
    rows = rows_in(f"select * from {schema}.{model}")
    return [{n: v for n, v in row.items() if n not in OF_THE_RUN} for row in rows]


def without_dbt(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Let dbt do nothing, and return what it was told."""
    ran: list[Any] = []

    def run(_self: Dbt, *words: Any) -> int:
        ran.append(words)
        return 0

    monkeypatch.setattr(Dbt, "run", run)
    return ran


def test_every_number_of_every_model_equals_the_oracle(built: Built) -> None:
    parts = seeded.parts()
    arrivals = {feed: [one for part in parts for one in part[feed]] for feed in parts[0]}
    built_at = START.replace(tzinfo=None) + timedelta(hours=24.01)
    expected = oracle.models(arrivals, built.settings.stock_alert_threshold, built_at)
    assert {*expected} == {*MODELS} - NOT_COMPUTED
    for model, rows in expected.items():
        assert_equal(table(model), rows, model)
    prices = [(one["name"], one["since"], one["usd_per_hour"]) for one in table("gpu_prices")]
    assert sorted(prices) == sorted(all_prices())


def test_building_on_loads_each_record_that_is_new_once(built: Built) -> None:
    _, second, third = seeded.parts()
    rows = rows_in("select is_full, new_events from builds order by started_at")
    assert [row["is_full"] for row in rows] == [True, False]
    assert " anew: " in built.said[0]
    assert " with what is new: " in built.said[1]
    for feed, arrivals in second.items():
        count = len(arrivals) + len(third[feed])
        assert f"{feed}: {count:,} new records in " in built.said[1]
        [found] = rows_in(f"select count(*) as n from landing.{feed}")
        assert found["n"] == count
    assert rows_in(STATE)[0]["phase"] == BUILT


def counts(settings: Settings) -> dict[str, bool]:
    """Whether each check of the counts of metals is good."""
    report = agreement.verify(settings)
    assert len(report.checks) == 2 * len(FEEDS)
    return {one.found: one.ok for one in report.checks if one.about == "metals"}


def test_its_counts_are_compared_with_the_archive(built: Built) -> None:
    assert built.before == (
        "there is no warehouse in MILLRACE in Snowflake: millrace warehouse build makes it"
    )
    parts = seeded.parts()
    count = sum(len(part["metals"]) for part in parts)
    right = counts(built.settings)
    assert right.pop(f"{count:,} in the archive, {count:,} in the warehouse") is True
    assert [*right.values()] == [True]
    with snowflake.connector.connect(database="MILLRACE", schema="MARTS") as connection:
        change = "update archived_records set records = records {} 1 where feed = 'metals'"
        connection.cursor().execute(change.format("+"))
        assert sorted(counts(built.settings).values()) == [False, True]
        connection.cursor().execute(change.format("-"))


def test_a_load_that_is_killed_after_its_copy_leaves_nothing(
    built: Built, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = rows_in(STATE)[0]["positions"]
    built.archive.append("metals", arrived([metal(2100.0, hours=30, event_id="test:killed")]))
    change = loading._change

    def killed(cursor: Any, what: str, values: tuple[str, ...], build: str) -> None:
        if values[0] == BUILDING:
            cursor.execute("select count(*) from landing.metals")
            assert cursor.fetchone() == (1,)
            raise KeyboardInterrupt
        change(cursor, what, values, build)

    with monkeypatch.context() as during, pytest.raises(KeyboardInterrupt):
        during.setattr(loading, "_change", killed)
        building.build(built.settings, full=False)
    [state] = rows_in(STATE)
    assert (state["phase"], state["positions"]) == (LOADING, before)
    assert rows_in("select * from landing.metals") == []
    # The next one goes on where the last one that was whole ended.
    ran = without_dbt(monkeypatch)
    building.build(built.settings, full=False)
    assert [row["event_id"] for row in rows_in("select * from landing.metals")] == ["test:killed"]
    assert "--full-refresh" not in ran[0]
    assert rows_in(STATE)[0]["phase"] == BUILT


def test_what_snowflake_did_not_load_whole_is_not_kept(
    built: Built, monkeypatch: pytest.MonkeyPatch
) -> None:
    built.archive.append("metals", arrived([metal(2200.0, hours=31, event_id="test:again")]))
    before = rows_in(STATE)[0]["positions"]
    batches = loading.batches

    def more(*given: Any) -> Any:
        def one_more(file: Any) -> Any:
            return SimpleNamespace(file_path=file.file_path, record_count=file.record_count + 1)

        found = batches(*given) or []
        return [batch._replace(files=[*map(one_more, batch.files)]) for batch in found]

    monkeypatch.setattr(loading, "batches", more)
    with pytest.raises(loading.Misloaded, match="loaded 1 records of metals"):
        building.build(built.settings, full=False)
    assert rows_in(STATE)[0]["positions"] == before


def set_state(values: str) -> None:
    with snowflake.connector.connect(database="MILLRACE", schema="MARTS") as connection:
        connection.cursor().execute(f"update landing.state set {values}")


def test_two_builds_never_go_on_together(built: Built, monkeypatch: pytest.MonkeyPatch) -> None:
    set_state("build = 'other', phase = 'building', begun_at = current_timestamp()")
    with pytest.raises(loading.Fenced, match=r"began elsewhere .* --full"):
        building.build(built.settings, full=False)

    def overtaken(_self: Dbt, *_words: Any) -> int:
        set_state("build = 'another'")
        return 0

    monkeypatch.setattr(Dbt, "run", overtaken)
    with pytest.raises(loading.Fenced, match="another build of this database has begun"):
        building.build(built.settings, full=True)
    # What it may have left is not built on.
    set_state("begun_at = dateadd('hour', -7, current_timestamp())")
    ran = without_dbt(monkeypatch)
    building.build(built.settings, full=False)
    assert "--full-refresh" in ran[0]


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (2003, r"cannot load: something is not there, or the role MILLRACE_LOADER may not use it"),
        (606, r"the warehouse MILLRACE does not run for MILLRACE_LOADER"),
        (90073, r"the warehouse MILLRACE does not run for MILLRACE_LOADER"),
    ],
)
def test_what_snowflake_refuses_is_one_line(
    built: Built, monkeypatch: pytest.MonkeyPatch, number: int, said: str
) -> None:
    def refuses(*_given: Any) -> None:
        raise snowflake.connector.errors.ProgrammingError(msg="its\nwords", errno=number)

    monkeypatch.setattr(loading, "_copy", refuses)
    with pytest.raises(connecting.SnowflakeFailed, match=rf"^Snowflake: {said}.*: .*its words$"):
        building.build(built.settings, full=True)
