"""The tests' consumer does what kafka-python does when the assignment changes: one test for both.

The library is the real one, told by its coordinator what it was assigned; no broker is needed.
"""

import socket
from collections.abc import Iterable, Iterator
from types import SimpleNamespace
from typing import Any, Protocol

import pytest
from kafka import KafkaConsumer
from kafka.consumer.fetcher import Fetcher
from kafka.coordinator.base import Generation
from kafka.protocol.consumer import IsolationLevel
from kafka.protocol.consumer.metadata import ConsumerProtocolAssignment
from kafka.record import MemoryRecords
from kafka.record.default_records import DefaultRecordBatchBuilder
from kafka.structs import OffsetAndMetadata, TopicPartition
from services.tests.processor.process import Processor
from services.tests.processor.world import World

from millrace.clients import kafka
from millrace.config import Settings
from millrace.feeds.stocks import STOCKS
from millrace.processor.group import Group
from millrace.processor.ports import Consumer

KEPT, CAME, WENT = ((STOCKS.topic, number) for number in range(3))
COMMITTED, READ = 1, 5


class Member(Protocol):
    """A consumer, and what its group does to it."""

    @property
    def consumer(self) -> Consumer:
        """What the loop sees."""

    def assign(self, partitions: Iterable[tuple[str, int]]) -> None:
        """The members have joined: it has these."""

    def lose(self) -> None:
        """The group took it for dead."""

    def read_to(self, partition: tuple[str, int], offset: int) -> None:
        """It has read so far."""

    def position(self, partition: tuple[str, int]) -> int:
        """Where it reads next, the broker having been asked for what is committed."""

    def is_paused(self, partition: tuple[str, int]) -> bool:
        """Whether it gives no records of it."""


class Fake:
    """The one of the other tests."""

    def __init__(self) -> None:
        world = self.world = World(partitions=3)
        world.committed = dict.fromkeys(world.log, COMMITTED)
        for number in range(3):
            for _ in range(10):
                world.produce(number, b"")
        self.consumer = Processor(world, Settings(), lambda: None).consumer
        self.assign, self.lose = self.consumer.assign, self.consumer.lose

    def read_to(self, partition: tuple[str, int], offset: int) -> None:
        while self.position(partition) < offset:
            self.consumer.poll(0.1)
        self.consumer.seek({partition: offset})

    def position(self, partition: tuple[str, int]) -> int:
        return self.consumer.look().positions[partition][0]

    def is_paused(self, partition: tuple[str, int]) -> bool:
        return partition in self.consumer.paused


class Library:
    """`Group` on kafka-python."""

    def __init__(self, group: Group, client: Any) -> None:
        self.consumer = group
        self._client = client
        self._coordinator = client._coordinator

    def assign(self, partitions: Iterable[tuple[str, int]]) -> None:
        numbers = [number for _, number in partitions]
        assignment = ConsumerProtocolAssignment(0, [(STOCKS.topic, numbers)], b"").encode()
        self._coordinator._generation = Generation(1, "member", "sticky")
        self._run(self._coordinator._on_join_prepare_async, 1, "member")
        self._run(self._coordinator._on_join_complete_async, 1, "member", "sticky", assignment)
        for partition in self._client._subscription.missing_fetch_positions():
            self._client._subscription.seek(partition, COMMITTED)

    def lose(self) -> None:
        self._coordinator.reset_generation()
        self._run(self._coordinator._on_join_prepare_async, 1, "member")

    def _run(self, step: Any, *arguments: Any) -> None:
        self._coordinator._net.run(step, *arguments)

    def read_to(self, partition: tuple[str, int], offset: int) -> None:
        state = self._client._subscription.assignment[TopicPartition(*partition)]
        state.position = OffsetAndMetadata(offset, "", -1)

    def position(self, partition: tuple[str, int]) -> int:
        return int(self._client._subscription.position(TopicPartition(*partition)).offset)

    def is_paused(self, partition: tuple[str, int]) -> bool:
        return partition in self._client.paused()


@pytest.fixture(params=[Fake, Library])
def member(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Member]:
    if request.param is Fake:
        yield Fake()
        return
    made: list[Any] = []

    def consumer(_: Settings, **options: Any) -> Any:
        # With the version given it waits for no answer before it is polled.
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        options |= {"bootstrap_servers": address, "api_version": (4, 0)}
        made.append(KafkaConsumer(enable_auto_commit=False, **options))
        return made[0]

    monkeypatch.setattr(kafka, "consumer", consumer)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        group = Group(Settings(), [STOCKS.topic], lambda: None)
        yield Library(group, made[0])
        group.close()


def test_what_is_kept_goes_on_where_it_was(member: Member) -> None:
    member.assign([KEPT, WENT])
    before = dict(member.consumer.holdings)
    member.read_to(KEPT, READ)
    member.assign([KEPT, CAME])
    assert member.consumer.holdings.keys() == {KEPT, CAME}
    assert member.consumer.holdings[KEPT] == before[KEPT]
    assert member.position(KEPT) == READ
    assert member.position(CAME) == COMMITTED


def test_what_went_and_comes_again_begins_at_what_is_committed(member: Member) -> None:
    member.assign([KEPT, WENT])
    before = dict(member.consumer.holdings)
    member.read_to(WENT, READ)
    member.assign([KEPT])
    member.assign([KEPT, WENT])
    assert member.consumer.holdings[WENT] != before[WENT]
    assert member.position(WENT) == COMMITTED


def test_who_was_taken_for_dead_has_kept_nothing(member: Member) -> None:
    member.assign([KEPT])
    before = dict(member.consumer.holdings)
    member.read_to(KEPT, READ)
    member.lose()
    assert not member.consumer.holdings
    member.assign([KEPT])
    assert member.consumer.holdings[KEPT] != before[KEPT]
    assert member.position(KEPT) == COMMITTED


def test_what_is_kept_stays_paused_and_what_comes_is_not(member: Member) -> None:
    member.assign([KEPT, WENT])
    member.consumer.hold({KEPT[0]}, ())
    member.assign([KEPT, CAME])
    assert member.is_paused(KEPT)
    assert not member.is_paused(CAME)
    member.consumer.hold((), ())
    assert not member.is_paused(KEPT)


def test_a_place_to_read_again_is_kept_too(member: Member) -> None:
    member.assign([KEPT])
    member.read_to(KEPT, READ)
    member.consumer.seek({KEPT: READ - 1, CAME: 0})
    member.assign([KEPT])
    assert member.position(KEPT) == READ - 1


CONTROL = 0x20
PRODUCER = 7


def batch(offset: int, *, marks: bool = False) -> bytes:
    """One record of a transaction, or the mark of its end, as it is in the log."""
    builder = DefaultRecordBatchBuilder(
        magic=2,
        compression_type=0,
        is_transactional=True,
        producer_id=PRODUCER,
        producer_epoch=0,
        base_sequence=0,
        batch_size=1000,
    )
    builder.append(0, timestamp=1, key=bytes(4), value=bytes(6), headers=[])
    raw = bytearray(builder.build())
    raw[0:8] = offset.to_bytes(8, "big")
    raw[22] |= CONTROL if marks else 0
    return bytes(raw)


@pytest.mark.parametrize("aborted", [False, True])
def test_offsets_without_a_record_are_passed(*, aborted: bool) -> None:
    first = [SimpleNamespace(first_offset=0, producer_id=PRODUCER)]
    read = Fetcher.PartitionRecords(
        0,
        TopicPartition(STOCKS.topic, 0),
        MemoryRecords(batch(0) + batch(1, marks=True)),
        check_crcs=False,  # of what was changed above
        isolation_level=IsolationLevel.READ_COMMITTED,
        aborted_transactions=first if aborted else [],
    )
    assert len(read.take(10)) == (0 if aborted else 1)
    assert read.next_fetch_offset == 2

    fake = Fake()
    partition = (STOCKS.topic, 0)
    fake.world.log[partition].clear()
    fake.world.committed[partition] = 0
    if not aborted:
        fake.world.produce(0, b"")
    fake.world.end_transaction(0, aborted=int(aborted))
    fake.assign([partition])
    assert len(fake.consumer.poll(0.1).get(partition, ())) == (0 if aborted else 1)
    assert fake.position(partition) == 2
