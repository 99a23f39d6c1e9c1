"""Reads the feeds' topics. Where to go on is what the tables say, and nothing else.

All partitions are assigned by hand: a second archiver is not given some of them, but is found out
when it commits to a table.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any

import msgspec
import structlog
from kafka.errors import KafkaError
from kafka.structs import OffsetAndMetadata, TopicPartition

from millrace.archive.offsets import Offsets
from millrace.clients import kafka, topic_ids
from millrace.clients.progress import Partition
from millrace.config import Settings
from millrace.processor import resets  # noqa: F401 - of a log that is known, and of pauses
from millrace.processor.batch import Record
from millrace.processor.kafka_errors import Kinds

log = structlog.get_logger(__name__)

SECOND = 1000
ANSWER_SECONDS = 10
METADATA_SECONDS = 10
"""Time after which new partitions, and topics that were made again, are detected."""
PARTITION_BYTES = kafka.MEBIBYTE
POLL_RECORDS = 4000


class Reader:
    """All partitions of the topics, each from its next offset. Everything raises as `Kinds`."""

    def __init__(
        self, settings: Settings, where: Callable[[str], Offsets], lost: Callable[[str, int], None]
    ) -> None:
        """`where` says a topic's next offsets, of rows in memory, too.

        `lost` is called with a topic, and the number of its offsets that retention removed before
        they were read.
        """
        self._where = where
        self._lost = lost
        self._paused: set[str] = set()
        self._expected: dict[Partition, int] = {}
        self.ids: dict[str, str] = {}
        """The id of the log of each topic's records."""
        self._client = kafka.consumer(
            settings,
            group_id=settings.archive_group_id,
            client_id="archiver",
            metadata_max_age_ms=METADATA_SECONDS * SECOND,
            max_partition_fetch_bytes=PARTITION_BYTES,
            max_poll_records=POLL_RECORDS,
        )

    def find(self, topics: Collection[str]) -> list[Partition]:
        """Begin to read partitions that are new; return a partition of each missing topic."""
        with Kinds("ask for its topics"):
            numbers = {topic: self._client.partitions_for_topic(topic) for topic in topics}
            ids = {topic: topic_ids.known(self._client, topic) for topic in topics}
            known = [topic for topic in topics if numbers[topic] and ids[topic]]
            self.ids |= {topic: str(ids[topic]) for topic in known if topic not in self.ids}
            there = {TopicPartition(topic, n) for topic in known for n in numbers[topic]}
            mine = set(self._client.assignment())
            if new := there - mine:
                self._client.assign(sorted(mine | new))
                self._seek(new)
        return [TopicPartition(topic, 0) for topic in topics if topic not in known]

    def go_back(self, topic: str) -> None:
        """Read a topic from its next offset again, whatever was read of it."""
        self._seek(p for p in self._client.assignment() if p.topic == topic)

    def pause(self, topics: Collection[str]) -> None:
        """Let `poll` return records of all topics but these."""
        if {*topics} == self._paused:
            return
        self._paused = {*topics}
        mine, paused = self._client.assignment(), self._client.paused()
        wanted = {p for p in mine if p.topic in self._paused}
        self._client.pause(*(wanted - paused))
        self._client.resume(*(paused - wanted))

    def poll(self, seconds: float) -> Mapping[Partition, Sequence[Record]]:
        """Records in the order of their offsets; empty after the timeout."""
        with Kinds("read"):
            found: Mapping[Partition, Sequence[Record]] = self._client.poll(
                timeout_ms=int(seconds * SECOND)
            )
            try:
                anew = self._find_new_logs()
                found = {p: r for p, r in found.items() if p[0] not in anew | self._paused}
                for partition, records in found.items():
                    self._check(partition, records[0].offset)
            except Exception:
                for topic in {topic for topic, _ in found}:
                    self.go_back(topic)
                raise
            for partition, records in found.items():
                self._expected[partition] = records[-1].offset + 1
        return found

    def _find_new_logs(self) -> set[str]:
        """Topics that were made again: they are read from their start."""
        now = {topic: topic_ids.known(self._client, topic) for topic in self.ids}
        anew = {topic for topic, one in now.items() if one not in (None, self.ids[topic])}
        for topic in sorted(anew):
            log.warning("the topic was made again: reads it from its start", topic=topic)
            self.ids[topic] = str(now[topic])
            self.go_back(topic)
        return anew

    def _check(self, partition: Partition, first: int) -> None:
        """Whether what comes is what was expected: the client goes to the start if it is gone."""
        expected = self._expected.get(partition, first)
        if first == expected:
            return
        start = self._client.beginning_offsets(
            [TopicPartition(*partition)], timeout_ms=ANSWER_SECONDS * SECOND
        )[partition]
        topic, number = partition
        if first < expected:
            log.error(
                "the log has become shorter: it is read again",
                topic=topic,
                partition=number,
                expected=expected,
                offset=first,
            )
        elif start > expected:
            # Otherwise there was no record, such as after an aborted transaction.
            self._lost(topic, first - expected)
            log.error(
                "retention has removed what was not archived",
                topic=topic,
                partition=number,
                expected=expected,
                offset=first,
            )

    def _seek(self, partitions: Any) -> None:
        for partition in partitions:
            where = self._where(partition.topic)
            here = where.log == self.ids.get(partition.topic)
            # Or the first offset that retention has left.
            offset = where.next.get(partition.partition, 0) if here else 0
            self._client.seek(partition, offset)
            if offset:
                self._expected[partition] = offset
            else:
                self._expected.pop(partition, None)

    def progress(self) -> dict[Partition, tuple[int, int]]:
        """Position and end of each partition. Positions are past offsets without a record, too."""
        with Kinds("ask how far it has come"):
            mine = list(self._client.assignment())
            ends = kafka.ends(self._client, mine) if mine else {}
            found = {}
            for partition, end in ends.items():
                position = self._client.position(partition, timeout_ms=SECOND)
                if position is not None:
                    found[tuple(partition)] = position, end
            return found

    def commit(self, archived: Offsets) -> None:
        """Tell Kafka how far a table has come, for the group's lag to be seen."""
        note = msgspec.json.encode({"log": archived.log}).decode()
        offsets = {
            TopicPartition(archived.topic, number): OffsetAndMetadata(offset, note, -1)
            for number, offset in archived.next.items()
        }
        with Kinds("commit"):
            self._client.commit(offsets, timeout_ms=ANSWER_SECONDS * SECOND)

    def close(self) -> None:
        """Close the connections."""
        with suppress(KafkaError, OSError):
            self._client.close(autocommit=False, timeout_ms=2 * SECOND)
