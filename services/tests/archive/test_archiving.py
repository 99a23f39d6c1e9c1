"""Every record of the log is a row, once; where to go on is what the table says."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from services.tests.archive import world
from services.tests.archive.world import Archiver, Log, archive_all, settings_in, table_of
from services.tests.feeds.events import ONE_OF_EACH, quote

from millrace.archive import offsets
from millrace.feeds import FEEDS
from millrace.feeds.quotes import QUOTES


@pytest.fixture
def log() -> Log:
    made = Log()
    made.make(QUOTES.topic, 3)
    return made


@pytest.mark.parametrize("name", FEEDS)
def test_an_event_of_each_feed_is_a_row_with_its_fields(name: str, tmp_path: Path) -> None:
    event, feed, log = ONE_OF_EACH[name], FEEDS[name], Log()
    log.make(feed.topic, 1)
    log.add(feed.topic, 0, msgspec.json.encode(event))
    settings = settings_in(tmp_path, feeds=[name])
    archive_all(settings, log)
    (row,) = table_of(settings, name).table.scan().to_arrow().to_pylist()
    fields = {field: getattr(event, field) for field in event.__struct_fields__}
    appended_at = datetime.fromtimestamp(world.BEGIN / 1000, UTC)
    where = {
        "claimed_at": None,
        "kafka_topic": feed.topic,
        "kafka_log": str(log.ids[feed.topic]),
        "kafka_partition": 0,
        "kafka_offset": 0,
        "kafka_timestamp": appended_at,
    }
    assert event.observed_at == appended_at
    assert row == fields | where


def test_a_time_that_is_not_believed_is_kept_beside_the_one_that_is(
    tmp_path: Path, log: Log
) -> None:
    claimed = quote(100.0, seconds=86_400 * 9)
    log.add(QUOTES.topic, 1, msgspec.json.encode(claimed))
    settings = settings_in(tmp_path)
    archive_all(settings, log)
    (row,) = table_of(settings).table.scan().to_arrow().to_pylist()
    assert row["claimed_at"] == claimed.observed_at
    assert row["observed_at"] == row["kafka_timestamp"]


def test_what_is_archived_is_not_read_again(tmp_path: Path, log: Log) -> None:
    settings = settings_in(tmp_path)
    log.quotes(500)
    archive_all(settings, log)
    log.quotes(300, first=500)
    later = archive_all(settings, log)
    assert later.counted("records_consumed_total") == 300
    assert world.positions(table_of(settings).table) == world.positions_in(log)


def test_the_group_has_committed_what_is_archived(tmp_path: Path, log: Log) -> None:
    log.quotes(500)
    archive_all(settings_in(tmp_path), log)
    assert {p: found.offset for p, found in log.committed.items()} == {
        place: len(records) for place, records in log.records.items()
    }
    assert {msgspec.json.decode(one.metadata)["log"] for one in log.committed.values()} == {
        str(log.ids[QUOTES.topic])
    }


def test_what_the_group_has_committed_is_not_where_it_goes_on(tmp_path: Path, log: Log) -> None:
    log.quotes(100)
    archive_all(settings_in(tmp_path / "a"), log)
    log.committed.clear()
    assert archive_all(settings_in(tmp_path / "a"), log).counted("records_consumed_total") == 0
    assert archive_all(settings_in(tmp_path / "b"), log).counted("records_consumed_total") == 100


@pytest.fixture(autouse=True)
def _folders(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()


def test_a_bad_record_is_counted_and_passed(tmp_path: Path, log: Log) -> None:
    log.add(QUOTES.topic, 0, b"no event", None, msgspec.json.encode(ONE_OF_EACH["stocks"]))
    log.quotes(10)
    settings = settings_in(tmp_path)
    archiver = archive_all(settings, log)
    assert archiver.counted("bad_records_total") == 3
    assert archiver.counted("rows_total") == 10
    assert archiver.counted("records_consumed_total") == 13
    assert archive_all(settings, log).counted("records_consumed_total") == 0


def test_an_event_that_was_sent_twice_is_two_rows_with_one_id(tmp_path: Path, log: Log) -> None:
    log.quotes(10)
    log.quotes(10)
    settings = settings_in(tmp_path)
    archive_all(settings, log)
    rows = table_of(settings).table.scan().to_arrow()
    assert (rows.num_rows, len(rows["event_id"].unique())) == (20, 10)


def test_late_events_are_in_files_of_their_days(tmp_path: Path, log: Log) -> None:
    log.quotes(400, days=4)
    settings = settings_in(tmp_path)
    archive_all(settings, log)
    table = table_of(settings).table
    found = {
        task.file.file_path.split("/")[-2]: task.file.record_count
        for task in table.scan().plan_files()
    }
    assert len(found) == 5
    assert sum(found.values()) == 400
    for task in table.scan().plan_files():
        day = datetime.fromisoformat(task.file.file_path.split("=")[1][:10]).replace(tzinfo=UTC)
        rows = table.scan(
            f"observed_at >= '{day.isoformat()}' and"
            f" observed_at < '{(day + timedelta(days=1)).isoformat()}'"
        ).to_arrow()
        assert rows.num_rows == task.file.record_count
        order = list(zip(rows["symbol"].to_pylist(), rows["observed_at"].to_pylist(), strict=True))
        assert order == sorted(order)


def test_a_file_has_statistics_of_its_columns(tmp_path: Path, log: Log) -> None:
    log.quotes(400)
    settings = settings_in(tmp_path)
    archive_all(settings, log)
    for file in table_of(settings).table.inspect.files().to_pylist():
        said = file["readable_metrics"]
        assert said["symbol"]["lower_bound"] == "S0"
        assert said["kafka_offset"]["upper_bound"] >= said["kafka_offset"]["lower_bound"] >= 0
        assert said["bid"]["null_value_count"] == file["record_count"]


def test_rows_wait_until_they_are_due(tmp_path: Path, log: Log) -> None:
    log.quotes(250)
    archiver = Archiver(settings_in(tmp_path), log)
    archiver.steps(5)
    assert archiver.counted("rows_total") == 0
    assert archiver.counted("waiting_rows") == 250
    assert archiver.counted("oldest_unflushed_seconds") > 0
    archiver.finish()
    assert archiver.counted("rows_total") == 250
    assert archiver.counted("waiting_rows") == archiver.counted("oldest_unflushed_seconds") == 0


@pytest.mark.parametrize(
    "limit",
    [
        {"archive_flush_rows": 200},
        {"archive_flush_bytes": 200 * 1000},
        {"archive_flush_seconds": 1e-9},
    ],
)
def test_rows_are_written_by_number_bytes_or_age(
    limit: dict[str, Any], tmp_path: Path, log: Log
) -> None:
    log.quotes(250)
    archiver = Archiver(settings_in(tmp_path, **limit), log)
    archiver.steps(1)
    assert archiver.counted("rows_total") >= 200
    assert archiver.counted("commits_total") == 1


def test_the_feed_with_most_bytes_is_written_first(tmp_path: Path, log: Log) -> None:
    stocks = FEEDS["stocks"]
    log.make(stocks.topic, 1)
    log.add(stocks.topic, 0, msgspec.json.encode(ONE_OF_EACH["stocks"]))
    log.quotes(250)
    settings = settings_in(tmp_path, archive_flush_bytes=200_000, feeds=["stocks", "quotes"])
    archiver = Archiver(settings, log)
    archiver.steps(1)
    assert archiver.counted("rows_total", "quotes") > 200
    assert archiver.counted("rows_total", "stocks") == 0


def test_a_topic_that_was_made_again_is_read_from_its_start(tmp_path: Path, log: Log) -> None:
    settings = settings_in(tmp_path)
    log.quotes(100)
    archiver = Archiver(settings, log)
    archiver.steps(2)
    log.make(QUOTES.topic, 3, number=2)
    log.quotes(30, first=100)
    archiver.steps(3)
    archiver.finish()
    rows = table_of(settings).table.scan().to_arrow()
    assert rows.num_rows == 130
    assert len(rows["kafka_log"].unique()) == 2
    assert archive_all(settings, log).counted("records_consumed_total") == 0
    log.make(QUOTES.topic, 3, number=3)
    log.quotes(30, first=130)
    assert archive_all(settings, log).counted("records_consumed_total") == 30


def test_partitions_that_are_added_are_read(
    tmp_path: Path, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("millrace.archive.loop.LOOK_SECONDS", 0.0)
    settings = settings_in(tmp_path)
    log.quotes(10)
    archiver = Archiver(settings, log)
    archiver.steps(2)
    log.records[QUOTES.topic, 3] = []
    log.add(QUOTES.topic, 3, msgspec.json.encode(quote(1.0)))
    archiver.steps(2)
    archiver.finish()
    assert world.positions(table_of(settings).table) == world.positions_in(log)


def test_a_topic_that_is_not_there_delays_no_other(
    tmp_path: Path, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("millrace.archive.loop.LOOK_SECONDS", 0.0)
    log.quotes(10)
    archiver = Archiver(settings_in(tmp_path, feeds=["metals", "quotes"]), log)
    archiver.steps(2)
    assert archiver.progress.problem(60) == "nobody reads metal-prices/0"
    log.make(FEEDS["metals"].topic, 1)
    log.add(FEEDS["metals"].topic, 0, msgspec.json.encode(ONE_OF_EACH["metals"]))
    archiver.steps(2)
    archiver.finish()
    assert archiver.progress.problem(60) is None
    assert archiver.counted("rows_total", "metals") == 1
    assert archiver.counted("rows_total", "quotes") == 10


def test_what_retention_removed_is_counted(tmp_path: Path, log: Log) -> None:
    settings = settings_in(tmp_path)
    log.quotes(100)
    archive_all(settings, log)
    place = (QUOTES.topic, 0)
    archived = len(log.records[place])
    log.quotes(100, first=100)
    log.starts[place] = archived + 20
    archiver = archive_all(settings, log)
    assert archiver.counted("offsets_lost_total") == 20
    log.starts.clear()
    assert archive_all(settings, log).counted("records_consumed_total") == 0


def test_offsets_without_a_record_are_not_lost(tmp_path: Path, log: Log) -> None:
    log.quotes(100)
    log.records[QUOTES.topic, 0][10:20] = [None] * 10
    settings = settings_in(tmp_path)
    assert archive_all(settings, log).counted("offsets_lost_total") == 0
    assert world.positions(table_of(settings).table) == world.positions_in(log)


def test_the_offsets_are_in_the_snapshot(tmp_path: Path, log: Log) -> None:
    log.quotes(100)
    settings = settings_in(tmp_path)
    archive_all(settings, log)
    snapshot = table_of(settings).table.current_snapshot()
    assert snapshot
    assert snapshot.summary
    said = offsets.read(snapshot.summary.additional_properties["millrace.offsets"])
    assert said.topic == QUOTES.topic
    assert said.log == str(log.ids[QUOTES.topic])
    assert said.next == {p: len(records) for (_, p), records in log.records.items()}


def test_files_are_those_of_the_format_that_is_wanted(tmp_path: Path, log: Log) -> None:
    import pyarrow.parquet as pq

    log.quotes(100)
    settings = settings_in(tmp_path)
    archive_all(settings, log)
    table = table_of(settings).table
    assert table.format_version == 2
    for task in table.scan().plan_files():
        footer = pq.ParquetFile(task.file.file_path.removeprefix("file://")).metadata
        assert footer.row_group(0).column(0).compression == "ZSTD"
