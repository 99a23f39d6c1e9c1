"""Kafka as the commands for dead letters see it."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from kafka import KafkaConsumer, KafkaProducer
from kafka.errors import KafkaError
from kafka.producer.future import FutureRecordMetadata
from kafka.structs import OffsetAndMetadata, TopicPartition
from services.tests.stands import refuse_unled, stands_for

TOPIC = "dead-letters"
Headers = list[tuple[str, bytes | None]]


class Record:
    """A record of the dead letter topic."""

    def __init__(
        self, place: tuple[int, int], value: bytes | None, headers: Headers, timestamp: int
    ) -> None:
        self.topic = TOPIC
        self.partition, self.offset = place
        self.key: bytes | None = b"key \xff"
        self.value = value
        self.headers = headers
        self.timestamp = timestamp


@stands_for(FutureRecordMetadata)
class Future:
    def __init__(self, error: Exception | None) -> None:
        self._error = error

    def get(self, timeout: float) -> None:
        if self._error:
            raise self._error


class Kafka:
    """A dead letter topic, the group's position in it, and what was sent to other topics."""

    def __init__(self) -> None:
        self.letters: dict[int, list[Record]] = {0: []}
        self.removed = 0
        """How many of partition 0 retention has taken."""
        self.committed: dict[int, int] = {}
        self.sent: list[dict[str, Any]] = []
        self.refuse_after: int | None = None
        self.on_send: Callable[[], None] = lambda: None
        self.error: Exception = KafkaError("gone")
        self.group_error: Exception | None = None
        self.without_leader: set[int] = set()
        self.open = 0

    def add(
        self, value: bytes | None, headers: Headers, partition: int = 0, timestamp: int = 0
    ) -> None:
        """A new dead letter."""
        letters = self.letters.setdefault(partition, [])
        letters.append(Record((partition, len(letters)), value, headers, timestamp))

    def consumer(self, settings: Any, *, group_id: str) -> "Consumer":
        assert group_id.startswith("operator")
        self.open += 1
        return Consumer(self)

    def producer(self, settings: Any) -> "Producer":
        self.open += 1
        return Producer(self)


@stands_for(KafkaConsumer)
class Consumer:
    """A few records a poll, and now and then none."""

    def __init__(self, kafka: Kafka) -> None:
        self._kafka = kafka
        self._assigned: list[TopicPartition] = []
        self._positions: dict[TopicPartition, int] = {}
        self._polls = 0

    def partitions_for_topic(self, topic: str) -> set[int]:
        return set(self._kafka.letters) if topic == TOPIC else set()

    def beginning_offsets(
        self, places: Collection[TopicPartition], timeout_ms: int | None = None
    ) -> dict[TopicPartition, int]:
        self._led(places)
        return {p: self._kafka.removed if p.partition == 0 else 0 for p in places}

    def end_offsets(
        self, places: Collection[TopicPartition], timeout_ms: int | None = None
    ) -> dict[TopicPartition, int]:
        self._led(places)
        return {p: len(self._kafka.letters[p.partition]) for p in places}

    def _led(self, places: Collection[TopicPartition]) -> None:
        led = self._kafka.letters.keys() - self._kafka.without_leader
        refuse_unled([p for p in places if p.partition not in led], places)

    def assign(self, places: Sequence[TopicPartition]) -> None:
        self._assigned = list(places)

    def seek(self, place: TopicPartition, offset: int) -> None:
        if place not in self._assigned:
            raise ValueError("Unassigned partition")
        self._positions[place] = offset

    def position(self, place: TopicPartition) -> int:
        return self._positions[place]

    def poll(self, timeout_ms: int, max_records: int = 500) -> dict[TopicPartition, list[Record]]:
        self._polls += 1
        (place,) = self._assigned
        start = self._positions[place]
        records = self._kafka.letters[place.partition][start : start + min(3, max_records)]
        if self._polls % 2 or not records:
            return {}
        self._positions[place] += len(records)
        return {place: records}

    def committed(self, place: TopicPartition) -> int | None:
        if self._kafka.group_error:
            raise self._kafka.group_error
        return self._kafka.committed.get(place.partition)

    def commit(self, offsets: Mapping[TopicPartition, OffsetAndMetadata]) -> None:
        for place, position in offsets.items():
            self._kafka.committed[place.partition] = position.offset

    def close(self, *, autocommit: bool) -> None:
        assert not autocommit
        self._kafka.open -= 1


@stands_for(KafkaProducer)
class Producer:
    def __init__(self, kafka: Kafka) -> None:
        self._kafka = kafka

    def send(self, topic: str, **record: Any) -> Future:
        if len(self._kafka.sent) == self._kafka.refuse_after:
            return Future(self._kafka.error)
        self._kafka.sent.append({"topic": topic, **record})
        self._kafka.on_send()
        return Future(None)

    def close(self) -> None:
        self._kafka.open -= 1
