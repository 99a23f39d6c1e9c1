"""The consumer port on kafka-python: a member of the group that never commits by itself."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any

import structlog
from kafka.coordinator.assignors.range import RangePartitionAssignor
from kafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from kafka.coordinator.base import MemberState
from kafka.errors import KafkaError
from kafka.structs import OffsetAndMetadata, TopicPartition

from millrace.clients import kafka, lag, operator_commands
from millrace.clients.operator_commands import GROUP, Command
from millrace.config import Settings
from millrace.processor import (
    membership,  # noqa: F401 - members do not stay outside
    notes,
    parked,  # noqa: F401 - what is resumed is read
    resets,  # noqa: F401 - of a log that is known
)
from millrace.processor.batch import Partition, Record
from millrace.processor.breaker import Tally
from millrace.processor.errors import Permanent, Transient, Unknown
from millrace.processor.holdings import Holdings, Logs
from millrace.processor.kafka_errors import Kinds
from millrace.processor.ports import Look

log = structlog.get_logger(__name__)

NEXT_SECONDS = 0.001
"""Minimum time between the times of two notes."""
SECOND = 1000
ANSWER_SECONDS = 10
ASSIGNORS = StickyPartitionAssignor, RangePartitionAssignor
"""The first moves the fewest partitions. The second is the one that earlier versions support."""
SESSION_SECONDS = 10
"""Time after which a killed process is missed, for which its group and its successor wait."""
HEARTBEAT_SECONDS = 1
"""Time after which a member learns that another one has joined or left."""
METADATA_SECONDS = 10
"""Time after which new partitions, and topics that were made again, are detected."""
TOPICS_SECONDS = 15.0
"""How long a starting processor waits for topics before it continues with the existing ones."""
PAUSE_SHARE = 0.5
"""Of the time without records, the pause before the next poll. Without a pause, fetching empty
partitions every linger would take a tenth of a core here and as much at the broker."""
LONGEST_PAUSE_SECONDS = 0.1
PARTITION_BYTES = kafka.MEBIBYTE
"""A quarter of a second's work when compressed. An empty partition makes others wait no longer than
the linger, so that more would only cost memory."""


class Group:
    """See ports.Consumer."""

    def __init__(
        self, settings: Settings, topics: Sequence[str], found_new: Callable[[], None]
    ) -> None:
        """`found_new` is called for each topic that was made again."""
        self._settings = settings
        self._topics = topics
        self._holdings = Holdings()
        self._admin: Any = None
        self._noted_at = 0.0
        self._made_at = time.monotonic()
        self._idle_since: float | None = None
        # A broker with few records waits for more, at most the linger, because at a low rate small
        # batches cost the most. The member is not static: a static one would get its former
        # partitions by its name alone, and nobody would read new topics and partitions.
        self._client = kafka.consumer(
            settings,
            group_id=settings.processor_group_id,
            client_id=settings.processor_name,
            partition_assignment_strategy=ASSIGNORS,
            session_timeout_ms=SESSION_SECONDS * SECOND,
            heartbeat_interval_ms=HEARTBEAT_SECONDS * SECOND,
            metadata_max_age_ms=METADATA_SECONDS * SECOND,
            fetch_min_bytes=64 * 1024,
            fetch_max_wait_ms=settings.processor_linger_ms,
            max_poll_records=settings.processor_batch_records,
            max_partition_fetch_bytes=PARTITION_BYTES,
        )
        self._client.subscribe(list(topics), listener=self._holdings)
        self._logs = Logs(self._client, self._holdings, topics, found_new)

    @property
    def joined(self) -> bool:
        """See ports.Consumer."""
        return bool(self._client.group_metadata().state is MemberState.STABLE)

    @property
    def holdings(self) -> Mapping[Partition, int]:
        """See ports.Consumer."""
        return self._holdings.numbers

    def learn_topics(self) -> None:
        """Return when the partitions of all topics are known, or of some after a while.

        A member that joins earlier is not assigned the others for some seconds. Raises Transient,
        Permanent.
        """
        with Kinds("ask for its topics"):
            unknown = [one for one in self._topics if not self._client.partitions_for_topic(one)]
        if not unknown:
            return
        said = f"Kafka does not know the topics {', '.join(unknown)}"
        waited = time.monotonic() - self._made_at
        if len(unknown) == len(self._topics) or waited < TOPICS_SECONDS:
            raise Transient(said)
        log.warning("the other feeds go on", reason=said)

    def poll(self, seconds: float) -> Mapping[Partition, Sequence[Record]]:
        """See ports.Consumer."""
        if seconds and self.joined:  # joining needs the time
            if self._idle_since is not None:
                idle = time.monotonic() - self._idle_since
                time.sleep(min(idle * PAUSE_SHARE, LONGEST_PAUSE_SECONDS))
            seconds = self._settings.processor_linger_ms / SECOND
        with Kinds("read"):
            found: Mapping[Partition, Sequence[Record]] = self._client.poll(
                timeout_ms=int(seconds * SECOND)
            )
            if found or not self.joined:
                self._idle_since = None
            elif self._idle_since is None:
                self._idle_since = time.monotonic()
            try:
                anew = self._logs.find_new(ANSWER_SECONDS * SECOND)
            except Exception:
                self.seek({p: records[0].offset for p, records in found.items()})
                raise
            self.seek(dict.fromkeys(anew, 0))  # or the first offset that retention has left
        return {p: records for p, records in found.items() if p not in anew}

    def log_id(self, topic: str) -> str | None:
        """See ports.Consumer."""
        return self._logs.ids.get(topic)

    def commit(self, positions: Mapping[Partition, int], tallies: Mapping[str, Tally]) -> None:
        """See ports.Consumer."""
        mine = self._client.assignment()
        # Later than previous notes, even if the clock was set back.
        self._noted_at = max(time.time(), self._noted_at + NEXT_SECONDS)
        texts = {
            topic: notes.written(tally, self._noted_at, self._logs.ids.get(topic))
            for topic, tally in tallies.items()
        }
        offsets = {
            TopicPartition(*partition): OffsetAndMetadata(offset, texts[partition[0]])
            for partition, offset in positions.items()
            if partition in mine
        }
        if offsets:
            with Kinds("commit"):
                self._client.commit(offsets, timeout_ms=ANSWER_SECONDS * SECOND)

    def tally(self, topic: str) -> Tally:
        """See ports.Consumer."""
        with Kinds("ask what is committed"):
            found = [
                self._client.committed(p, metadata=True, timeout_ms=ANSWER_SECONDS * SECOND)
                for p in self._client.assignment()
                if p.topic == topic
            ]
        read = [note for one in found if one and (note := notes.read(one.metadata))]
        newest = max(read, key=lambda note: note.at, default=None)
        if newest is None:
            return Tally()
        self._noted_at = max(self._noted_at, newest.at)
        return Tally(newest.records, newest.bad)

    def commands(self, partitions: Collection[Partition]) -> Mapping[Partition, Command]:
        """See ports.Consumer."""
        wanted = [TopicPartition(*partition) for partition in partitions]
        try:
            with Kinds("ask for commands"):
                found = self._asking().list_group_offsets({GROUP: wanted})[GROUP]
        except Permanent as refused:
            log.warning("reads no commands of operators", reason=str(refused))
            return {}
        except (Transient, Unknown):
            self._hang_up()
            raise
        read = {tuple(p): operator_commands.read(one.metadata or "") for p, one in found.items()}
        return {p: command for p, command in read.items() if command is not None}

    def seek(self, positions: Mapping[Partition, int]) -> None:
        """See ports.Consumer."""
        mine = self._client.assignment()
        for partition, offset in positions.items():
            if partition in mine:
                self._client.seek(TopicPartition(*partition), offset)

    def hold(self, topics: Collection[str], partitions: Collection[Partition]) -> None:
        """See ports.Consumer."""
        paused = self._client.paused()
        wanted = {p for p in self._client.assignment() if p.topic in topics or p in partitions}
        self._client.pause(*(wanted - paused))
        self._client.resume(*(paused - wanted))

    def look(self) -> Look:
        """See ports.Consumer."""
        with Kinds("ask how far it has come"):
            unread = self._unread()
            positions = {}
            for partition, end in self._ends().items():
                position = self._client.position(partition, timeout_ms=SECOND)
                if position is not None:
                    positions[partition] = (position, end)
            return Look(positions, unread)

    def _ends(self) -> Mapping[TopicPartition, int]:
        """The end offset of each partition with a leader; a deleted topic has none."""
        mine = set(self._client.assignment())
        while True:
            try:
                found = self._client.end_offsets(mine, timeout_ms=ANSWER_SECONDS * SECOND)
            except KeyError as error:
                # The library raises this if one partition has no leader and others do.
                mine.remove(error.args[0])
            else:
                return dict(found)

    def _unread(self) -> Sequence[Partition]:
        try:
            return lag.unheld(self._asking(), self._settings.processor_group_id, self._topics)
        except Exception:
            self._hang_up()
            raise

    def _asking(self) -> Any:
        """A client for requests that the consumer does not support."""
        if self._admin is None:
            self._admin = kafka.admin(
                self._settings,
                client_id=f"{self._settings.processor_name}-look",
                bootstrap_timeout_ms=ANSWER_SECONDS * SECOND,
                request_timeout_ms=ANSWER_SECONDS * SECOND,
            )
        return self._admin

    def _hang_up(self) -> None:
        admin, self._admin = self._admin, None
        if admin is not None:
            with suppress(KafkaError, OSError):
                admin.close()

    def close(self) -> None:
        """See ports.Consumer."""
        self._hang_up()
        self._client.close(autocommit=False, timeout_ms=2 * SECOND)
