"""`millrace archive verify`: what it compares, and what it names."""

from pathlib import Path
from sqlite3 import connect
from typing import Any
from unittest.mock import patch

import msgspec
import pytest
from pymongo.errors import ServerSelectionTimeoutError
from services.tests.archive.servers import DEAD, Documents, World
from services.tests.archive.world import table_of
from services.tests.feeds.events import quote

from millrace.archive import catalog, ranges, schema, showing, verifying
from millrace.archive.tables import ForeignTable
from millrace.archive.verifying import ArchiveReport
from millrace.clients.letter_headers import PREFIX
from millrace.errors import MillraceError
from millrace.feeds.quotes import QUOTES
from millrace.processor.errors import Permanent, Transient, Unknown


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def feed_of(report: ArchiveReport) -> dict[str, Any]:
    """What was found of the quotes; what is compared is counted."""
    return report.feeds["quotes"]


def differences(report: ArchiveReport) -> dict[str, int]:
    assert not report.ok
    return dict(feed_of(report)["differences"])


def where_rows_are(world: World, predicate: str) -> None:
    """Delete rows as another program would."""
    table_of(world.settings).table.delete(predicate)


def test_equal_stores_are_equal_and_counted(world: World) -> None:
    world.publish(100, days=3)
    world.archive()
    report = world.verify()
    assert report.ok
    found = feed_of(report)
    assert (found["rows"], found["records"], found["documents"]) == (100, 100, 100)
    assert (found["waiting"], found["older"], found["repeated"]) == (0, 0, 0)


def test_small_windows_come_to_the_same(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranges, "ROWS", 7)
    world.publish(100, days=3)
    world.archive()
    where_rows_are(world, "event_id = 'quotes:test:41'")
    report = world.verify()
    assert differences(report) == {"missing in the archive": 1}
    assert feed_of(report)["rows"] == 99


def test_nothing_compared_is_no_success(world: World) -> None:
    world.log.quotes(0)
    table_of(world.settings)
    assert not world.verify().ok
    world.publish(10)
    report = world.verify()
    assert not report.ok
    assert feed_of(report)["problem"] == "nothing was compared: 10 offsets wait for the archiver"


def test_what_waits_is_stated_and_no_difference(world: World) -> None:
    world.publish(50)
    world.archive()
    world.publish(20, first=50)
    report = world.verify()
    assert report.ok
    assert (feed_of(report)["rows"], feed_of(report)["waiting"]) == (50, 20)


def test_a_table_is_waited_for(world: World) -> None:
    world.publish(10)
    table_of(world.settings)
    with world.servers(), patch.object(verifying, "WAIT_SECONDS", 10.0):
        asked: list[int] = []
        existing = verifying._table

        def table(*arguments: Any) -> Any:
            asked.append(1)
            if len(asked) == 3:
                world.archive()
            return existing(*arguments)

        with patch.object(verifying, "_table", table):
            assert verifying.verify(world.settings, lambda _line: None).ok


def test_a_row_that_is_missing_is_named(world: World) -> None:
    world.publish(30)
    world.archive()
    where_rows_are(world, "event_id = 'quotes:test:11'")
    report = world.verify()
    assert differences(report) == {"missing in the archive": 1}
    [example] = feed_of(report)["examples"]
    assert example.endswith(" quotes:test:11: missing in the archive")
    assert example.startswith(f"{QUOTES.topic}[1]@")


def test_what_kafka_has_no_more_is_compared_with_mongodb(world: World) -> None:
    world.publish(100)
    world.archive()
    for partition in range(3):
        world.log.starts[QUOTES.topic, partition] = 20
    report = world.verify()
    assert report.ok
    assert (feed_of(report)["rows"], feed_of(report)["records"]) == (100, 40)
    where_rows_are(world, "kafka_offset = 5")
    assert differences(world.verify()) == {"missing in the archive": 3}


def test_a_missing_document_is_named(world: World) -> None:
    world.publish(30)
    world.archive()
    del world.quotes.documents[7]
    assert differences(world.verify()) == {"missing in MongoDB": 1}


def test_other_content_is_named_with_its_fields(world: World) -> None:
    world.publish(30)
    world.archive()
    changed = world.quotes.documents[4]
    changed["source"] = "another"
    report = world.verify()
    assert differences(report) == {"other content": 1}
    place = f"{QUOTES.topic}[0]@4 {changed['_id']}"
    [example] = feed_of(report)["examples"]
    assert example == f"{place} in MongoDB and in the archive (source): other content"


def test_a_row_that_differs_from_its_record_is_named(world: World) -> None:
    world.publish(30)
    world.archive()
    records = world.log.records[QUOTES.topic, 0]
    event = msgspec.json.decode(records[2].value, type=QUOTES.event_type)
    records[2].value = msgspec.json.encode(msgspec.structs.replace(event, price=1.5, bid=1.25))
    report = world.verify()
    assert differences(report) == {"other content": 1}
    assert "in Kafka and in the archive (price, bid)" in feed_of(report)["examples"][0]


@pytest.mark.parametrize("value", [None, b"{}"])
def test_a_row_for_no_record_is_named(world: World, value: bytes | None) -> None:
    world.publish(30)
    world.archive()
    if value is None:
        world.log.records[QUOTES.topic, 0][2] = None
    else:
        world.log.records[QUOTES.topic, 0][2].value = value
    report = world.verify()
    assert differences(report) == {"a row for no record": 1}
    assert feed_of(report)["bad_records"] == int(value is not None)


def test_bad_records_have_no_row_and_no_document(world: World) -> None:
    world.publish(30)
    world.log.add(QUOTES.topic, 0, b"no event", None)
    world.archive()
    report = world.verify()
    assert report.ok
    assert (feed_of(report)["records"], feed_of(report)["bad_records"]) == (30, 2)


def test_rows_that_are_there_twice_are_named(world: World) -> None:
    world.publish(30)
    world.archive()
    table = table_of(world.settings).table
    rows = table.scan(row_filter="kafka_offset < 2").to_arrow()
    table.append(rows)
    report = world.verify()
    assert differences(report) == {"twice in the archive": 6}
    assert feed_of(report)["rows"] == 30


def test_an_event_that_was_sent_again_is_no_difference(world: World) -> None:
    world.publish(30)
    world.log.add(QUOTES.topic, 0, world.log.records[QUOTES.topic, 0][1].value)
    world.archive()
    report = world.verify()
    assert report.ok
    assert (feed_of(report)["rows"], feed_of(report)["repeated"]) == (31, 1)


def test_an_event_with_two_contents_is_stored_with_the_first(world: World) -> None:
    world.publish(30)
    event = quote(1.0, symbol="S0", event_id="quotes:test:7")
    world.log.add(QUOTES.topic, 0, msgspec.json.encode(event))
    world.archive()
    report = world.verify()
    assert report.ok
    assert feed_of(report)["conflicts"] == 1


def test_mongodb_must_have_the_first_of_two_contents(world: World) -> None:
    world.publish(30)
    second = quote(1.0, symbol="S1", event_id="quotes:test:8")
    world.log.add(QUOTES.topic, 1, msgspec.json.encode(second))
    world.archive()
    records = world.log.records[QUOTES.topic, 1]
    first = next(r for r in records if b"quotes:test:8" in r.value)
    world.quotes.documents.clear()
    records[first.offset] = None
    world.store()
    records[first.offset] = first
    assert differences(world.verify()) == {"other content": 1}


def test_a_dead_letter_explains_a_missing_document(world: World) -> None:
    world.publish(30)
    world.archive()
    at = world.quotes.documents.pop(7)["kafka"]
    said = {"topic": at["topic"], "partition": at["partition"], "offset": at["offset"]}
    world.log.add(DEAD, 0, b"")
    world.log.records[DEAD, 0][0].headers = [
        (f"{PREFIX}{name}", str(value).encode()) for name, value in said.items()
    ]
    report = world.verify()
    assert report.ok
    assert feed_of(report)["dead_letters"] == 1


def test_documents_from_before_the_archive_are_counted_apart(world: World) -> None:
    world.publish(60)
    for partition in range(3):
        world.log.starts[QUOTES.topic, partition] = 10
    world.archive()
    report = world.verify()
    assert report.ok
    assert (feed_of(report)["rows"], feed_of(report)["older"]) == (30, 30)


def test_rows_of_a_former_log_are_compared_too(world: World) -> None:
    world.publish(30)
    world.archive()
    world.log.make(QUOTES.topic, 3, number=2)
    world.log.quotes(30, first=30)
    world.store("00000000-0000-0000-0000-000000000002")
    world.archive()
    report = world.verify()
    assert report.ok
    found = feed_of(report)
    assert (found["rows"], found["records"], found["documents"]) == (60, 30, 60)
    del world.quotes.documents[3]
    assert differences(world.verify()) == {"missing in MongoDB": 1}


def test_a_restored_pipeline_has_each_event_at_another_place(world: World) -> None:
    world.publish(30)
    world.archive()
    world.log.make(QUOTES.topic, 3, number=2)
    world.quotes.documents.clear()
    world.logs.documents = [{"_id": QUOTES.topic, "log": "00000000-0000-0000-0000-000000000002"}]
    world.publish(30)
    report = world.verify()
    assert report.ok
    assert (feed_of(report)["repeated"], feed_of(report)["waiting"]) == (30, 30)
    world.archive()
    report = world.verify()
    assert report.ok
    assert (feed_of(report)["repeated"], feed_of(report)["documents"]) == (30, 30)
    world.quotes.documents[2]["source"] = "another"
    assert differences(world.verify()) == {"other content": 2}


def test_few_of_many_differences_are_named(world: World) -> None:
    world.publish(100)
    world.archive()
    del world.quotes.documents[10:]
    report = world.verify()
    assert differences(report) == {"missing in MongoDB": 90}
    assert len(feed_of(report)["examples"]) == 20


def data_files(world: World) -> list[Path]:
    return sorted(Path(world.settings.archive_warehouse[7:]).glob("quotes/data/**/*.parquet"))


def test_a_damaged_file_is_named(world: World) -> None:
    world.publish(30)
    world.archive()
    file, *_ = data_files(world)
    file.write_bytes(file.read_bytes()[:-200])
    with pytest.raises(Unknown, match=rf"read its table quotes: .*{file.name} cannot be read"):
        world.verify()


def test_a_file_that_is_gone_is_named(world: World) -> None:
    world.publish(30)
    world.archive()
    file, *_ = data_files(world)
    file.unlink()
    with pytest.raises(Unknown, match=rf"read its table quotes: .*{file.name} cannot be read"):
        world.verify()


def test_there_must_be_a_catalog(world: World) -> None:
    world.publish(10)
    with pytest.raises(MillraceError, match="the archive has no table quotes"):
        world.verify()
    gone = world.settings.model_copy(update={"archive_catalog": "sqlite:////no/such/catalog.db"})
    world.settings = gone
    with pytest.raises(Permanent, match=r"open its catalog: .*unable to open database file"):
        world.verify()


def test_a_catalog_that_is_locked_is_said(world: World) -> None:
    world.publish(10)
    world.archive()
    with connect(world.settings.archive_catalog.removeprefix("sqlite:///")) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(Transient, match="database is locked"):
            world.verify()


def test_a_table_of_somebody_else_is_refused(world: World) -> None:
    world.publish(10)
    tables = catalog.opened(world.settings)
    tables.create_table(("millrace", "quotes"), schema.of_feed(QUOTES))
    with pytest.raises(ForeignTable, match="is not the archive's"):
        world.verify()


def test_mongodb_that_does_not_answer_is_one_line(world: World) -> None:
    world.publish(10)
    world.archive()

    def fail(*_: Any, **__: Any) -> Any:
        raise ServerSelectionTimeoutError("nobody there, Topology Description: ...")

    with (
        patch.object(Documents, "find", fail),
        pytest.raises(MillraceError, match=r"MongoDB does not answer: nobody there$"),
    ):
        world.verify()


def test_the_report_for_people_names_what_differs(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.publish(30)
    world.archive()
    with world.servers():
        assert showing.run(world.settings, as_json=False)
    said = capsys.readouterr().out
    assert "equal, in " in said
    del world.quotes.documents[3]
    with world.servers():
        assert not showing.run(world.settings, as_json=False)
    said = capsys.readouterr().out
    assert "not equal, in " in said
    assert "failed quotes: 1 missing in MongoDB" in said
    assert f"differs quotes: {QUOTES.topic}[0]@3 quotes:test:7: missing in MongoDB" in said
    with world.servers():
        assert not showing.run(world.settings, as_json=True)
    assert msgspec.json.decode(capsys.readouterr().out)["feeds"]["quotes"]["rows"] == 30


def test_nothing_is_called_equal_of_which_nothing_was_compared(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.log.quotes(0)
    table_of(world.settings)
    with world.servers():
        assert not showing.run(world.settings, as_json=False)
    assert "nothing was compared, in " in capsys.readouterr().out


def test_progress_is_said_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    say = showing.Progress()
    say("soon")
    monkeypatch.setattr(showing, "SAY_SECONDS", 0.0)
    say("later")
    assert capsys.readouterr().err == "later\n"
