"""What becomes of records: documents, duplicates, dead letters, alerts."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from services.tests.feeds.events import START, stock
from services.tests.processor.chance import away, refused, strange
from services.tests.processor.process import Processor
from services.tests.processor.scenario import DAY, FIRST, change, fail_with, metric, produce, start
from services.tests.processor.world import DEAD, World
from structlog.testing import capture_logs

from millrace.clients.letter_headers import CONFLICT, PREFIX
from millrace.feeds.stocks import STOCKS
from millrace.processor import backoff
from millrace.processor import writer as writer_module
from millrace.processor.batch import Batch, Inserted, Message
from millrace.processor.derivation import Derivation
from millrace.processor.errors import Abandoned, Permanent, Unknown
from millrace.processor.recall import Recall


def test_a_transient_error_is_no_dead_letter_however_often_it_comes(world: World) -> None:
    processor = start(world)
    insert, failures = world.insert, [away() for _ in range(50)]

    def sometimes(collection: str, documents: Sequence[dict[str, Any]]) -> Inserted:
        if failures:
            raise failures.pop()
        return insert(collection, documents)

    world.insert = sometimes  # type: ignore[method-assign]
    event_id = produce(world, 0, 100.0)
    for _ in range(3):
        processor.step()
    assert event_id in world.documents
    assert not world.letters
    assert metric(processor, "retries_total") == 50


class Clock:
    """Time in which every attempt and every pause takes a second."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(writer_module, "time", made)
    return made


def attempts_of(
    world: World, clock: Clock, error: Exception, *, most: int
) -> tuple[list[tuple[int, float]], float, BaseException | None]:
    """The pauses between attempts to insert, how long it was silent, and how it ended."""
    paused: list[tuple[int, float]] = []
    processor = start(world)
    writer = processor.writer
    silent = [0.0]

    def insert(*_: Any) -> Inserted:
        clock.now += 1
        silent.append(writer.silent())
        raise error

    def wait(seconds: float) -> bool:
        paused.append((len(paused), seconds))
        assert writer.silent() == 0, "an error is an answer, too"
        clock.now += 1
        return len(paused) == most

    world.insert = insert  # type: ignore[method-assign, assignment]
    writer._give_up.wait = wait  # type: ignore[method-assign, assignment]
    event_id = produce(world, 0, 100.0)
    batch = Batch(world.feed, {}, documents=[{"_id": event_id}], records=[*world.log[FIRST]])
    ended = None
    try:
        writer.complete(batch, lambda: True)
    except (Abandoned, Unknown) as why:
        ended = why
    assert metric(processor, "retries_total") == len(paused)
    return paused, max(silent), ended


def test_what_may_pass_is_tried_until_it_is_told_to_give_up(
    world: World, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backoff, "seconds", lambda attempt, longest: attempt + longest)
    paused, silent, ended = attempts_of(world, clock, away(), most=20)
    assert paused == [(number, number + 1.0) for number in range(20)]
    assert isinstance(ended, Abandoned)
    assert silent == 2


def test_what_nobody_knows_is_tried_three_times(
    world: World, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    paused, _, ended = attempts_of(world, clock, strange(), most=20)
    assert len(paused) == 2
    assert isinstance(ended, Unknown)


def test_who_waits_for_an_answer_is_silent(world: World, clock: Clock) -> None:
    writer = start(world).writer
    clock.now += 50
    assert writer.silent() == 50
    writer._until_done(lambda: None)
    assert writer.silent() == 0


def test_while_a_dead_letter_is_not_acknowledged_its_record_is_not_committed(world: World) -> None:
    processor = start(world)
    world.publish = fail_with(refused())  # type: ignore[method-assign]
    world.produce(0, b"no event")
    with pytest.raises(Permanent, match="refused"):
        for _ in range(5):
            processor.step()
    assert world.committed[FIRST] == 0


def test_a_document_that_mongodb_never_takes_is_a_dead_letter_and_raises_no_alert(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    processor = start(world, stock_alert_threshold=0.05)

    def reject_the_last(_collection: str, documents: Sequence[dict[str, Any]]) -> Inserted:
        return Inserted(len(documents) - 1, rejected={len(documents) - 1: "too strange"})

    monkeypatch.setattr(world, "insert", reject_the_last)
    produce(world, 0, 100.0)
    produce(world, 1, 200.0)
    for _ in range(3):
        processor.step()
    (letter,) = world.letters
    headers = dict(letter.headers)
    assert letter.value == world.log[FIRST][1].value
    assert headers["__connect.errors.stage"] == b"TASK_PUT"
    assert headers["__connect.errors.exception.message"] == b"too strange"
    assert not world.alerts


def test_a_repeated_event_is_stored_once_and_raises_its_alert_once(world: World) -> None:
    processor = start(world, stock_alert_threshold=0.05)
    produce(world, 0, 100.0)
    event_id = produce(world, 2, 110.0)
    for _ in range(4):
        processor.step()
    produce(world, 1, 90.0)
    produce(world, 2, 110.0)  # its move would be larger now
    for _ in range(4):
        processor.step()
    assert change(world, event_id) == pytest.approx(10.0)
    assert {(message.topic, message.key) for message in world.alerts} == {
        (STOCKS.alert_topic, b"IBM")
    }
    moves = [msgspec.json.decode(message.value or b"")["cause"] for message in world.alerts]
    assert moves.count(event_id) == 1


def test_a_record_that_is_read_again_raises_its_alert_again(world: World) -> None:
    """The process may have died between the write and the alert."""
    produce(world, 0, 100.0)
    event_id = produce(world, 1, 110.0)
    for _ in range(2):
        processor = start(world, stock_alert_threshold=0.05)
        for _ in range(3):
            processor.step()
        assert event_id in world.documents
        world.committed[FIRST] = 0
    assert len(world.alerts) == 2
    assert len({message.value for message in world.alerts}) == 1


def test_every_record_is_accounted_for(world: World) -> None:
    processor = start(world)
    for day in (0, 1, 2, 1, 0):
        produce(world, day, 100.0)
        processor.step()
    for value in (b"no event", None):
        world.produce(1, value)
    for _ in range(5):
        processor.step()
    counts = ("documents_stored_total", "duplicates_total", "dead_letters_total")
    assert [metric(processor, name) for name in counts] == [3, 2, 2]
    assert metric(processor, "records_consumed_total") == 7


def test_what_is_repeated_within_a_batch_is_counted_each_time(world: World) -> None:
    processor = start(world)
    for _ in range(3):
        produce(world, 0, 100.0)
    processor.step()
    assert len(processor.jobs) == 1, "they are no batch"
    for _ in range(3):
        processor.step()
    counts = ("documents_stored_total", "duplicates_total")
    assert [metric(processor, name) for name in counts] == [1, 2]


def test_whatever_becomes_of_the_records_of_a_batch_each_is_counted_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """New, rejected, repeated, stored before from here and from elsewhere, other, and no event."""
    processor = start(world, stock_alert_threshold=0.05)
    for partition, day, price in ((0, 0, 100.0), (1, 1, 110.0), (1, 2, 50.0)):
        produce(world, day, price, partition=partition)
        for _ in range(4):
            processor.step()
    world.alerts.clear()
    records = world.log[FIRST]
    for day in (1, 2, 3, 4, 3, 5):  # again, other than it was, new, rejected, repeated, new
        produce(world, day, 110.0 * 1.1**day)
    produce(world, 3, 1.0)
    world.produce(0, b"no event")
    again, other = records[1:3]
    insert = world.insert

    def reject_one(collection: str, documents: Sequence[dict[str, Any]]) -> Inserted:
        taken = [d for d in documents if d["kafka"]["offset"] != 4]
        inserted = insert(collection, taken)
        moved = frozenset(n for n, d in enumerate(documents) if d["_id"] in known)
        rejected = {n: "too strange" for n, d in enumerate(documents) if d not in taken}
        return Inserted(inserted.stored, moved, rejected)

    known = set(world.documents)
    again.value = msgspec.json.encode(stock(110.0, minutes=DAY))
    monkeypatch.setattr(world, "insert", reject_one)
    pace = processor.loop._pace
    batch, derivation = (
        Batch(STOCKS, {}),
        Derivation(STOCKS, FIRST, 0.05, Recall(STOCKS, world, pace)),
    )
    monkeypatch.setattr(pace, "turn", lambda: None)
    derivation.take(records, batch, {}, 0)
    before = counted(processor)
    with capture_logs() as logs:
        processor.writer.complete(batch, lambda: True)
    (line,) = (one for one in logs if "dead letters" in one["event"])
    assert (line["records"], line["first"]) == (2, "stock-data/0/2")
    assert "price" in line["reason"]
    new = {name: number - before[name] for name, number in counted(processor).items()}
    assert new == {
        "records_consumed": 9,
        "documents_stored": 2,
        "duplicates": 3,
        "dead_letters": 4,
        "conflicts": 2,
        "alerts": len(world.alerts),
    }
    assert world.alerts
    said = [
        (dict(letter.headers)[f"{PREFIX}offset"], dict(letter.headers)[f"{PREFIX}stage"])
        for letter in world.letters
    ]
    assert sorted(said) == [
        (b"2", CONFLICT.encode()),
        (b"4", b"TASK_PUT"),
        (b"7", CONFLICT.encode()),
        (b"8", b"VALUE_CONVERTER"),
    ]
    assert other.value in [letter.value for letter in world.letters]
    assert metric(processor, "write_seconds_count") == 4


def counted(processor: Processor) -> dict[str, float]:
    names = ("records_consumed", "documents_stored", "duplicates", "dead_letters", "conflicts")
    return {name: metric(processor, f"{name}_total") or 0 for name in (*names, "alerts")}


def test_a_clock_that_is_ahead_is_named_and_counted_and_opens_no_breaker(
    world: World,
) -> None:
    processor = start(world, processor_breaker_records=10)
    for minute in range(40):
        event = stock(100.0, minutes=minute + 3 * DAY)
        logged_at = START + timedelta(minutes=minute, seconds=0.24)
        world.produce(0, msgspec.json.encode(event), logged_at=logged_at)
    with capture_logs() as logs:
        for _ in range(30):
            processor.step()
    assert not world.letters
    assert metric(processor, "times_not_believed_total") == len(world.documents) == 40
    for document in world.documents.values():
        ahead = document["claimed_at"] - document["timestamp_utc"]
        assert ahead == timedelta(days=3) - timedelta(seconds=0.24)
    said = [line for line in logs if "clock" in line["event"]]
    assert [line["seconds"] for line in said] == [{"test": 3 * 86_400 - 0.2}]


def test_a_clock_that_stays_ahead_is_named_once_a_minute(world: World, clock: Clock) -> None:
    processor = start(world)
    with capture_logs() as logs:
        for second in range(0, 200, 20):
            clock.now = float(second)
            event = stock(100.0, minutes=second + 3 * DAY)
            world.produce(0, msgspec.json.encode(event), logged_at=START)
            for _ in range(5):
                processor.step()
    assert metric(processor, "times_not_believed_total") == 10
    assert len([line for line in logs if "clock" in line["event"]]) == 4


def test_a_dead_letter_keeps_key_value_and_headers(world: World) -> None:
    processor = start(world)
    headers = [("trace", b"\x00\xff"), ("trace", None)]
    world.produce(1, b"\xffno event", key=b"\xfe", headers=headers)
    for _ in range(3):
        processor.step()
    (letter,) = world.letters
    assert isinstance(letter, Message)
    assert (letter.topic, letter.key, letter.value) == (DEAD, b"\xfe", b"\xffno event")
    assert list(letter.headers[:2]) == [("trace", b"\x00\xff"), ("trace", b"")]
    assert ("__connect.errors.null", b"header trace") in letter.headers
    said = dict(letter.headers[2:])
    assert said["__connect.errors.topic"] == b"stock-data"
    assert said["__connect.errors.partition"] == b"1"
    assert said["__connect.errors.offset"] == b"0"
    assert said["__connect.errors.exception.message"]
