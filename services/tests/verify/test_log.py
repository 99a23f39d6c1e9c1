"""Reading topics to a fixed end."""

from itertools import count
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from kafka import KafkaConsumer
from kafka.structs import TopicPartition
from services.tests.processor.world import Record
from services.tests.stands import refuse_unled, stands_for

from millrace.clients import kafka
from millrace.clients.letter_headers import PREFIX
from millrace.config import Settings
from millrace.errors import MillraceError
from millrace.processor.errors import BadRecord
from millrace.processor.sinks.dead_letters import letter
from millrace.verify.data import log
from millrace.verify.data.compare import Letter, Partition, RecordPosition
from millrace.verify.data.log import Log, origin

PLACE = TopicPartition("t", 0)


def named(topic: str, log_id: str | None) -> str:
    return f"{topic} {log_id}"


@stands_for(KafkaConsumer)
class FakeConsumer:
    """One partition that is read in polls of two; `silent` polls bring nothing.

    Others have no leader.
    """

    def __init__(self, first: int, records: int) -> None:
        self.first = first
        self.records: list[Any] = [
            SimpleNamespace(
                offset=first + n,
                key=b"k",
                value=b"%d" % n,
                headers=[
                    (PREFIX + "topic", b"stock-data"),
                    (PREFIX + "partition", b"2"),
                    (PREFIX + "offset", b"7"),
                ],
            )
            for n in range(records)
        ]
        self.numbers = {0}
        self.at = 0
        self.silent = False
        self.closed = False

    @property
    def _cluster(self) -> Any:
        return SimpleNamespace(topic_id={"t": UUID(int=1)}.get)

    def partitions_for_topic(self, topic: str) -> set[int]:
        return self.numbers if topic == "t" else set()

    def beginning_offsets(
        self, places: list[TopicPartition], timeout_ms: int | None = None
    ) -> dict[Any, int]:
        refuse_unled([p for p in places if p != PLACE], places)
        return dict.fromkeys(places, self.first)

    def end_offsets(
        self, places: list[TopicPartition], timeout_ms: int | None = None
    ) -> dict[Any, int]:
        refuse_unled([p for p in places if p != PLACE], places)
        return dict.fromkeys(places, self.first + len(self.records))

    def assign(self, places: list[TopicPartition]) -> None:
        assert places == [PLACE]

    def seek(self, place: TopicPartition, offset: int) -> None:
        if place != PLACE:
            raise ValueError("Unassigned partition")
        self.at = offset

    def position(self, _: TopicPartition) -> int:
        return self.at

    def poll(self, timeout_ms: int) -> dict[Any, list[Any]]:
        if self.silent:
            return {}
        end = min(self.at + 2, self.first + len(self.records))
        found = [r for r in self.records[self.at - self.first : end - self.first] if r is not None]
        self.at = end
        return {PLACE: found} if found else {}

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def consumer(monkeypatch: pytest.MonkeyPatch) -> FakeConsumer:
    fake = FakeConsumer(10, 5)
    monkeypatch.setattr(kafka, "check_credentials", lambda _: None)
    monkeypatch.setattr(kafka, "consumer", lambda _settings, **_options: fake)
    return fake


def test_a_topic_is_read_from_its_first_record_to_its_end(consumer: FakeConsumer) -> None:
    with Log(Settings(), named) as opened:
        (partition,) = opened.partitions(["t"])
        assert partition == Partition("t", 0, 10, 15, f"t {UUID(int=1)}")
        assert [r.offset for r in opened.read(partition)] == [10, 11, 12, 13, 14]
    assert consumer.closed


def test_what_comes_after_the_end_is_not_read(consumer: FakeConsumer) -> None:
    with Log(Settings(), named) as opened:
        assert [r.offset for r in opened.read(Partition("t", 0, 10, 13))] == [10, 11, 12]


def test_a_silent_log_is_an_error(consumer: FakeConsumer, monkeypatch: pytest.MonkeyPatch) -> None:
    consumer.silent = True
    monkeypatch.setattr(log, "SILENCE_SECONDS", 0.0)
    with Log(Settings(), named) as opened, pytest.raises(MillraceError, match="t cannot be read"):
        list(opened.read(Partition("t", 0, 10, 15)))


def test_offsets_without_a_record_are_no_silence(
    consumer: FakeConsumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    consumer.records[1:] = [None] * 20  # what a transaction wrote that was aborted
    times = count(step=log.SILENCE_SECONDS / 2)
    monkeypatch.setattr(log, "time", SimpleNamespace(monotonic=lambda: next(times)))
    with Log(Settings(), named) as opened:
        (partition,) = opened.partitions(["t"])
        assert partition.end == 31
        assert [r.offset for r in opened.read(partition)] == [10]


@pytest.mark.parametrize("numbers", [{0, 1}, {1}])
def test_nothing_is_compared_without_a_partition_that_nobody_leads(
    consumer: FakeConsumer, numbers: set[int]
) -> None:
    consumer.numbers = numbers
    with (
        Log(Settings(), named) as opened,
        pytest.raises(MillraceError, match=r"t/1: .*; try again"),
    ):
        opened.partitions(["t"])


def test_a_topic_that_is_not_there_is_an_error(consumer: FakeConsumer) -> None:
    with Log(Settings(), named) as opened, pytest.raises(MillraceError, match="no topic other"):
        opened.partitions(["other"])


def test_dead_letters_are_known_by_where_they_come_from(consumer: FakeConsumer) -> None:
    with Log(Settings(), named) as opened:
        letters = opened.letters("t")
    assert letters == {
        RecordPosition("stock-data", 2, 7): [Letter(b"k", b"%d" % n) for n in range(5)]
    }


@pytest.mark.parametrize(
    "headers",
    [[], [(PREFIX + "topic", None)], [(PREFIX + "topic", b"t"), (PREFIX + "offset", b"x")]],
)
def test_a_letter_without_origin_is_from_nowhere(headers: list[Any]) -> None:
    assert origin(headers) == RecordPosition("unknown", 0, 0)


def test_a_letter_that_came_twice_has_its_last_place() -> None:
    first = [(PREFIX + "topic", b"a"), (PREFIX + "partition", b"0"), (PREFIX + "offset", b"1")]
    again = [(PREFIX + "topic", b"a"), (PREFIX + "partition", b"0"), (PREFIX + "offset", b"9")]
    assert origin([*first, *again]) == RecordPosition("a", 0, 9)


def test_a_dead_letter_of_a_log_that_has_a_name_says_it() -> None:
    record = Record("stock-data", 2, 7, b"k", b"v")
    for name in ("", "later"):
        headers: Any = letter("dead-letters", record, BadRecord("stage", "bad"), name).headers
        assert origin(headers) == RecordPosition("stock-data", 2, 7, name)
