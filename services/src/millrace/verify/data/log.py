"""Reads topics from their first record to a fixed end."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from kafka.structs import TopicPartition

from millrace.clients import kafka, topic_ids
from millrace.clients.letter_headers import CONFLICT, PARTIAL, PREFIX, SKIPPED
from millrace.config import Settings
from millrace.errors import MillraceError
from millrace.verify.data.compare import Letter, Letters, Partition, RecordPosition

SILENCE_SECONDS = 30.0
"""Time without progress before the end of the log that is an error."""


class Log:
    """The topics, read by one consumer without a group."""

    def __init__(self, settings: Settings, name: Callable[[str, str | None], str]) -> None:
        """`name` returns the name of a topic's log from its id: see millrace.clients.topic_ids."""
        self._name = name
        kafka.check_credentials(settings)
        self._consumer = kafka.consumer(settings, group_id=None)

    def __enter__(self) -> "Log":
        return self

    def __exit__(self, *_: object) -> None:
        self._consumer.close()

    def partitions(self, topics: Iterable[str]) -> list[Partition]:
        """All partitions of the topics, each from its first record to its current end.

        Raises WithoutLeader if one has no leader, because verification needs all.
        """
        found = [
            TopicPartition(topic, number)
            for topic in topics
            for number in sorted(self._numbers(topic))
        ]
        ids = {p.topic: topic_ids.known(self._consumer, p.topic) for p in found}
        names = {topic: self._name(topic, log_id) for topic, log_id in ids.items()}
        starts = kafka.starts(self._consumer, found)
        ends = kafka.ends(self._consumer, found)
        return [Partition(p.topic, p.partition, starts[p], ends[p], names[p.topic]) for p in found]

    def _numbers(self, topic: str) -> set[int]:
        numbers = self._consumer.partitions_for_topic(topic)
        if not numbers:
            raise MillraceError(f"there is no topic {topic}, or it may not be read")
        return set(numbers)

    def read(self, partition: Partition) -> Iterator[Any]:
        """The records of one partition in order."""
        if partition.start >= partition.end:
            return
        place = TopicPartition(partition.topic, partition.number)
        self._consumer.assign([place])
        self._consumer.seek(place, partition.start)
        position, heard = partition.start, time.monotonic()
        # The position also passes offsets without a record, such as aborted ones.
        while (now := self._consumer.position(place)) < partition.end:
            if now > position:
                position, heard = now, time.monotonic()
            elif time.monotonic() - heard > SILENCE_SECONDS:
                raise MillraceError(f"{partition.topic} cannot be read to its end")
            for record in self._consumer.poll(timeout_ms=1000).get(place, []):
                if record.offset < partition.end:
                    yield record

    def letters(self, topic: str) -> Letters:
        """The dead letters, by the positions of their records."""
        letters: Letters = {}
        for partition in self.partitions([topic]):
            for record in self.read(partition):
                letters.setdefault(origin(record.headers), []).append(_letter(record))
        return letters


def _letter(record: Any) -> Letter:
    said = dict(record.headers)
    skipped = said.get(PREFIX + "stage") == SKIPPED.encode()
    conflict = said.get(PREFIX + "stage") == CONFLICT.encode()
    return Letter(record.key, record.value, PARTIAL in said, skipped, conflict)


def origin(headers: Iterable[tuple[str, bytes]]) -> RecordPosition:
    """The position of a dead letter's record. A replayed letter has its last position last."""
    texts: Mapping[str, bytes] = dict(headers)
    try:
        return RecordPosition(
            texts[PREFIX + "topic"].decode(),
            int(texts[PREFIX + "partition"]),
            int(texts[PREFIX + "offset"]),
            texts.get(PREFIX + "log", b"").decode(),
        )
    except (KeyError, ValueError, AttributeError):
        return RecordPosition("unknown", 0, 0)
