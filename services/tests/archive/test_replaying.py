"""`millrace archive replay`: an emptied pipeline gets the same events."""

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import msgspec
import pytest
from kafka import KafkaProducer
from kafka.errors import KafkaError, KafkaTimeoutError, TopicAuthorizationFailedError
from kafka.producer.future import FutureRecordMetadata
from services.tests.archive.servers import World
from services.tests.archive.world import BEGIN, LOG_APPEND_TIME, table_of
from services.tests.feeds.events import START, quote
from services.tests.processor.world import Record
from services.tests.stands import stands_for

from millrace.archive import ranges, replaying, showing
from millrace.archive.replaying import Range, Replayed
from millrace.archive.tables import ForeignTable
from millrace.clients import kafka
from millrace.errors import MillraceError
from millrace.feeds.quotes import QUOTES
from millrace.processor.errors import Unknown

NUMBER = 2
"""Of the topic's log after it was made again."""


@stands_for(FutureRecordMetadata)
class Future:
    def __init__(self, error: Exception | None) -> None:
        self._error = error

    def get(self, timeout: float) -> None:
        if self._error:
            raise self._error


@stands_for(KafkaProducer)
class Producer:
    """Appends to a log in memory."""

    def __init__(self, world: World) -> None:
        self._log = world.log
        self.waiting = self.most = 0
        self.fail_after: int | None = None
        self.error: Exception = KafkaTimeoutError("no answer")
        self.sent: list[tuple[int, bytes, bytes]] = []

    def partitions_for(self, topic: str) -> set[int]:
        return {number for name, number in self._log.records if name == topic}

    def send(self, topic: str, **record: Any) -> Future:
        if len(self.sent) == self.fail_after:
            return Future(self.error)
        self._log.add(topic, record["partition"], record["value"])
        self.sent.append((record["partition"], record["key"], record["value"]))
        return Future(None)

    def close(self) -> None:
        pass


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def producer(world: World) -> Iterator[Producer]:
    made = Producer(world)
    with world.servers(), patch.object(kafka, "producer", lambda _settings: made):
        yield made


def empty(world: World, partitions: int = 3) -> None:
    """Lose what Kafka and MongoDB have."""
    for place in [place for place in world.log.records if place[0] == QUOTES.topic]:
        del world.log.records[place]
    world.log.make(QUOTES.topic, partitions, number=NUMBER)
    world.quotes.documents.clear()
    world.logs.documents.clear()


def replay(world: World, *, check: bool = False, per_second: float = 1e9, **of: Any) -> Replayed:
    wanted = Range(**({"feeds": ["quotes"]} | of))
    [done] = replaying.replay(
        world.settings, wanted, lambda _line: None, per_second=per_second, check=check
    )
    return done


def contents(world: World) -> list[dict[str, Any]]:
    """What is stored, in order."""
    found = [dict(one) for one in world.quotes.documents]
    for one in found:
        del one["kafka"]
    return sorted(found, key=lambda one: str(one["_id"]))


@pytest.mark.parametrize("rows", [7, 50_000])
def test_what_is_stored_then_is_the_same(
    world: World, producer: Producer, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    monkeypatch.setattr(ranges, "ROWS", rows)
    monkeypatch.setattr(replaying, "AT_ONCE", 9)
    world.publish(200, days=5)
    world.archive()
    values = [
        (partition, r.value)
        for (topic, partition), records in sorted(world.log.records.items())
        if topic == QUOTES.topic
        for r in records
    ]
    before = contents(world)
    empty(world)
    assert replay(world) == Replayed("quotes", rows=200, sent=200)
    # Bytes and order of each partition are those of the records.
    assert sorted((p, v) for p, _, v in producer.sent) == sorted(values)
    for number in range(3):
        mine = [value for p, _, value in producer.sent if p == number]
        assert mine == [value for p, value in values if p == number]
    assert {key for _, key, _ in producer.sent} == {f"S{n}".encode() for n in range(7)}
    world.store()
    assert contents(world) == before


def test_a_check_counts_and_sends_nothing(world: World, producer: Producer) -> None:
    world.publish(50)
    world.archive()
    empty(world)
    assert replay(world, check=True) == Replayed("quotes", rows=50, sent=50)
    assert producer.sent == []


def test_only_what_mongodb_lacks_is_sent(world: World, producer: Producer) -> None:
    world.publish(50)
    world.archive()
    assert replay(world) == Replayed("quotes", rows=50, stored=50)
    del world.quotes.documents[10:13]
    assert replay(world).sent == len(producer.sent) == 3


def test_it_goes_on_after_a_failure(world: World, producer: Producer) -> None:
    world.publish(50)
    world.archive()
    empty(world)
    producer.fail_after = 20
    with pytest.raises(MillraceError, match=r"not acknowledged everything: .*; run it again"):
        replay(world)
    world.store()
    producer.fail_after = None
    assert replay(world) == Replayed("quotes", rows=50, stored=20, sent=30)
    assert len(producer.sent) == 50


def test_a_second_restore_sends_each_event_once(world: World, producer: Producer) -> None:
    world.publish(40)
    world.archive()
    empty(world)
    replay(world)
    world.store()
    world.archive()
    assert table_of(world.settings).table.scan().count() == 80
    producer.sent.clear()
    empty(world)
    assert replay(world) == Replayed("quotes", rows=80, repeated=40, sent=40)


def test_days_of_event_time_can_be_chosen(world: World, producer: Producer) -> None:
    world.publish(100, days=5)
    world.archive()
    empty(world)
    first, end = (START - timedelta(days=3)).date(), (START - timedelta(days=1)).date()
    replay(world, first=first, end=end)
    days = {
        msgspec.json.decode(value, type=QUOTES.event_type).observed_at.date()
        for _, _, value in producer.sent
    }
    assert days == {first, first + timedelta(days=1)}
    assert replay(world, first=end).sent + replay(world, end=end).sent == 100


def test_an_event_that_was_ahead_is_sent_as_it_was(world: World, producer: Producer) -> None:
    world.log.make(QUOTES.topic, 3)
    ahead = quote(5.0, seconds=86_400 * 400, symbol="S1", event_id="quotes:test:ahead")
    value = msgspec.json.encode(ahead)
    at = Record(QUOTES.topic, 1, 0, None, value, (), BEGIN, LOG_APPEND_TIME)
    world.log.records[QUOTES.topic, 1].append(at)
    world.archive()
    row = table_of(world.settings).table.scan().to_arrow().to_pylist()[0]
    assert row["claimed_at"] == ahead.observed_at != row["observed_at"]
    empty(world)
    replay(world)
    assert [sent for _, _, sent in producer.sent] == [value]


def test_it_is_paced(world: World, producer: Producer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replaying, "AT_ONCE", 10)
    slept: list[float] = []
    monkeypatch.setattr("millrace.archive.replaying.time.sleep", slept.append)
    world.publish(40)
    world.archive()
    empty(world)
    replay(world, per_second=2.0)
    waited = [round(seconds) for seconds in slept if seconds > 1]
    assert waited == [5, 5, 5]


def test_a_topic_must_have_the_partitions(world: World, producer: Producer) -> None:
    world.publish(40)
    world.archive()
    empty(world, partitions=2)
    with pytest.raises(MillraceError, match=r"has 2 partitions, .* its partition 2: add"):
        replay(world)
    assert producer.sent == []


def test_no_right_to_write_is_one_line(world: World, producer: Producer) -> None:
    world.publish(40)
    world.archive()
    empty(world)
    producer.fail_after, producer.error = 0, TopicAuthorizationFailedError("quotes")
    with pytest.raises(MillraceError, match="does not let this user write to"):
        replay(world)


def test_a_row_that_is_no_event_is_named(world: World, producer: Producer) -> None:
    world.publish(10)
    world.archive()
    own = table_of(world.settings).table
    rows = own.scan().to_arrow()
    place = rows.schema.get_field_index("price")
    own.overwrite(rows.set_column(place, rows.schema.field(place), [[-1.0] * rows.num_rows]))
    empty(world)
    with pytest.raises(Unknown, match=r"row of quotes\[0\]@0 quotes:test:0 is no event: .*price"):
        replay(world)


def test_a_damaged_file_is_named(world: World, producer: Producer) -> None:
    world.publish(10)
    world.archive()
    folder = Path(world.settings.archive_warehouse.removeprefix("file://"))
    file = next(folder.glob("quotes/data/**/*.parquet"))
    file.write_bytes(b"PAR1 no more")
    with pytest.raises(Unknown, match=rf"{file.name} cannot be read"):
        replay(world)
    assert producer.sent == []


def test_a_table_of_somebody_else_is_refused(world: World, producer: Producer) -> None:
    world.publish(10)
    world.archive()
    table = table_of(world.settings).table
    with table.transaction() as change:
        change.remove_properties("millrace.feed")
    with pytest.raises(ForeignTable):
        replay(world)


def test_people_are_told(
    world: World, producer: Producer, capsys: pytest.CaptureFixture[str]
) -> None:
    world.publish(30)
    world.archive()
    empty(world)
    wanted = Range(["quotes"], date(1970, 1, 1))
    for check, ends in ((True, "30 to send"), (False, "30 sent")):
        showing.run_replay(world.settings, wanted, per_second=1e9, check=check)
        said = capsys.readouterr().out.splitlines()[-1]
        assert said == f"quotes: 30 rows, 0 of them repeated, 0 events stored already, {ends}"


def test_errors_of_kafka_are_one_line(world: World, producer: Producer) -> None:
    world.publish(10)
    world.archive()
    empty(world)
    producer.fail_after, producer.error = 0, KafkaError("x")
    with pytest.raises(MillraceError) as caught:
        replay(world)
    assert "\n" not in str(caught.value)
