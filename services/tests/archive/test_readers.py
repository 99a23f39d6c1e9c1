"""Programs that are not Millrace's read a table where it lies."""

from pathlib import Path
from typing import Any

import duckdb
import duckdb_extension_avro
import duckdb_extension_iceberg
import msgspec
import pytest
from services.tests.archive import world
from services.tests.archive.world import Log, archive_all, settings_in, table_of

from millrace.archive.maintenance import maintain
from millrace.config import Settings

DOCUMENTED = (Path(__file__).parents[3] / "docs/operating/archive.md").read_text()


@pytest.fixture
def reader(tmp_path: Path) -> Any:
    with duckdb.connect() as connection:
        for module in (duckdb_extension_avro, duckdb_extension_iceberg):
            (found,) = Path(module.__file__).parent.rglob("*.duckdb_extension")
            connection.execute(f"LOAD '{found}'")
        yield connection


def documented(settings: Settings, what: str) -> str:
    """A query of the documentation, on the table of a test."""
    block = DOCUMENTED.split(f"<!-- {what} -->")[1].split("```")[1].removeprefix("sql\n")
    return block.replace("METADATA", table_of(settings).table.metadata_location)


def test_duckdb_reads_each_record_once(tmp_path: Path, reader: Any) -> None:
    settings, log = settings_in(tmp_path), Log()
    for first in (0, 200):
        log.quotes(200, first=first, days=2)
        archive_all(settings, log)
    for _ in range(2):
        (counted,) = reader.execute(documented(settings, "count")).fetchall()
        assert counted == (400, 400)
        maintain(table_of(settings), settings)


def test_the_documented_view_has_the_events_that_mongodb_has(tmp_path: Path, reader: Any) -> None:
    settings, log = settings_in(tmp_path), Log()
    log.quotes(100)
    log.quotes(50)
    archive_all(settings, log)
    assert len(world.positions(table_of(settings).table)) == 150
    reader.execute(documented(settings, "events"))
    found = reader.execute("SELECT event_id, kafka_offset FROM events").fetchall()
    assert len(found) == len({event for event, _ in found}) == 100
    first: dict[str, int] = {}
    for records in log.records.values():
        for record in records:
            first.setdefault(msgspec.json.decode(record.value)["event_id"], record.offset)
    assert dict(found) == first
