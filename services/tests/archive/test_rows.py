"""Rows in memory, and what a schema makes of an event's fields."""

from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pytest
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.types import IntegerType, NestedField
from services.tests.archive import world
from services.tests.archive.world import LOG_APPEND_TIME, Log, archive_all, settings_in, table_of
from services.tests.feeds.events import quote
from services.tests.processor.world import Record

from millrace.archive import catalog, columns, files, rows, schema
from millrace.archive.columns import Column, Kind, NoColumn
from millrace.archive.maintenance import maintain
from millrace.archive.rows import Rows
from millrace.archive.schema import Incompatible
from millrace.archive.tables import FeedTable
from millrace.config import Settings
from millrace.events import Event
from millrace.feeds.base import Feed
from millrace.feeds.quotes import QUOTES, Quote


def record(offset: int, **fields: Any) -> Record:
    event = quote(100.0 + offset, seconds=offset, **fields)
    at = 1_767_366_000_000 + 1000 * offset
    value = msgspec.json.encode(event)
    return Record(QUOTES.topic, 0, offset, None, value, (), at, LOG_APPEND_TIME)


def rows_of(table: Table, count: int) -> pa.Table:
    """Rows for a table of quotes."""
    made = Rows(QUOTES, files.arrow_schema(table))
    assert made.add("log", [record(n) for n in range(count)]) == []
    return made.table()


def test_rows_are_in_columns_whatever_their_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "CHUNK", 4)
    table = table_of(settings_in(tmp_path)).table
    made = Rows(QUOTES, files.arrow_schema(table))
    for n in range(0, 10, 3):
        made.add("log", [record(one) for one in range(n, min(n + 3, 10))])
    assert len(made) == 10
    assert made.bytes > 10 * 100
    assert made.table()["kafka_offset"].to_pylist() == [*range(10)]
    assert len(made) == made.bytes == 0


OWN: dict[str, Any] = {
    "price": float,
    "bid": (float | None, None),
    "ask": (float | None, None),
    "volume": int,
    "currency": str,
}


def other_quotes(**changes: Any) -> Feed[Any]:
    fields = {name: kind for name, kind in (OWN | changes).items() if kind is not None}
    made = msgspec.defstruct(
        "Other",
        [
            (name, *kind) if isinstance(kind, tuple) else (name, kind)
            for name, kind in fields.items()
        ],
        bases=(Event,),
        frozen=True,
        kw_only=True,
    )
    given = {
        name: getattr(QUOTES, name)
        for name in ("name", "topic", "partitions", "collection", "window", "value")
    }
    return Feed(
        **given,
        event_type=made,
        stored_value=QUOTES.stored_value,
        derive=QUOTES.derive,
        document=QUOTES.document,
    )


@pytest.fixture
def archived(tmp_path: Path) -> Settings:
    settings, log = settings_in(tmp_path), Log()
    log.quotes(10)
    archive_all(settings, log)
    return settings


def opened(settings: Settings, feed: Feed[Any]) -> FeedTable:
    return FeedTable(catalog.opened(settings), settings, feed)


def test_a_new_optional_field_is_a_column_that_is_null_in_old_files(archived: Settings) -> None:
    feed = other_quotes(venue=(str | None, None))
    table = opened(archived, feed)
    made = Rows(feed, files.arrow_schema(table.table))
    event = msgspec.convert(msgspec.to_builtins(quote(1.0)) | {"venue": "X"}, feed.event_type)
    new = Record(QUOTES.topic, 0, 99, None, msgspec.json.encode(event), (), 1_767_366_000_000, 1)
    assert made.add("log", [new]) == []
    table.append(files.write(table.table, made.table()), table.offsets.moved("log", 0, 100))
    found = table.table.scan().to_arrow()["venue"].to_pylist()
    assert sorted(found, key=str) == [*[None] * 10, "X"]
    # Combined with others, too.
    rows = world.digest(table.table)
    assert maintain(table, archived).periods_failed == 0
    assert table.table.scan().to_arrow()["venue"].null_count == 10
    assert world.digest(table.table) == rows


def test_a_field_that_events_have_no_more_stays_a_column(archived: Settings) -> None:
    table = opened(archived, other_quotes(ask=None, currency=None))
    names = {field.name: field.required for field in table.table.schema().fields}
    assert names["ask"] is names["currency"] is False
    assert names["price"]
    made = Rows(table.feed, files.arrow_schema(table.table))
    event = msgspec.to_builtins(quote(1.0))
    del event["ask"], event["currency"]
    new = Record(QUOTES.topic, 0, 99, None, msgspec.json.encode(event), (), 1_767_366_000_000, 1)
    assert made.add("log", [new]) == []
    table.append(files.write(table.table, made.table()), table.offsets.moved("log", 0, 100))
    found = table.table.scan().to_arrow()["currency"].to_pylist()
    assert sorted(found, key=str) == [None, *["USD"] * 10]


def test_a_field_that_some_events_lack_is_optional(archived: Settings) -> None:
    table = opened(archived, other_quotes(currency=(str | None, None)))
    assert not table.table.schema().find_field("currency").required
    assert table.table.scan().to_arrow().num_rows == 10


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"venue": str}, "`venue` is new and every event has it"),
        ({"price": str}, "`price` is double there, and string in its events"),
        ({"volume": float}, "`volume` is long there, and double in its events"),
        ({"price": int, "venue": (str | None, None)}, "`price` is double there, and long"),
    ],
)
def test_a_change_that_cannot_be_made_changes_nothing(
    archived: Settings, changes: dict[str, Any], said: str
) -> None:
    before = table_of(archived).table.metadata
    with pytest.raises(Incompatible, match=said):
        opened(archived, other_quotes(**changes))
    assert table_of(archived).table.metadata == before


def test_a_number_may_become_a_longer_one(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    made = catalog.opened(settings)
    fields = [
        NestedField(f.field_id, f.name, IntegerType(), required=True) if f.name == "volume" else f
        for f in schema.of_feed(QUOTES).fields
    ]
    made.create_table(
        (catalog.namespace(settings), "quotes"),
        Schema(*fields),
        partition_spec=schema.partitions(schema.of_feed(QUOTES), QUOTES),
        properties={"millrace.feed": "quotes"},
    )
    assert str(table_of(settings).table.schema().find_field("volume").field_type) == "long"


def test_what_a_field_is_decides_its_column() -> None:
    assert columns.of_event(QUOTES)[-5:] == [
        Column("price", Kind.DOUBLE, required=True),
        Column("bid", Kind.DOUBLE, required=False),
        Column("ask", Kind.DOUBLE, required=False),
        Column("volume", Kind.LONG, required=True),
        Column("currency", Kind.TEXT, required=True),
    ]
    assert columns.of_event(QUOTES)[0] == Column("event_id", Kind.TEXT, required=True)


@pytest.mark.parametrize(
    ("name", "kind", "why"),
    [
        ("levels", list[float], "its type has no column"),
        ("either", str | int, "its type has no column"),
        ("kafka_offset", int, "its name is the archive's own"),
    ],
)
def test_a_field_without_a_column_is_refused(name: str, kind: Any, why: str) -> None:
    with pytest.raises(NoColumn, match=f"`{name}`: {why}"):
        columns.of_table(other_quotes(**{name: kind}))


def test_every_quote_has_the_fields_of_this_test() -> None:
    assert {*OWN} | {*Event.__struct_fields__} == {*Quote.__struct_fields__}
