"""The consumer port on kafka-python: a static member of the group that never commits by itself."""

from collections.abc import Mapping, Sequence
from typing import Any

from kafka.consumer.subscription_state import ConsumerRebalanceListener
from kafka.errors import (
    AuthorizationError,
    FencedInstanceIdError,
    GroupAuthorizationFailedError,
    KafkaError,
    SaslAuthenticationFailedError,
    TopicAuthorizationFailedError,
)
from kafka.structs import OffsetAndMetadata, TopicPartition

from millrace import kafka
from millrace.config import Settings
from millrace.processor.batch import Partition, Record
from millrace.processor.errors import Permanent, Transient

REFUSALS = (
    AuthorizationError,
    FencedInstanceIdError,
    GroupAuthorizationFailedError,
    SaslAuthenticationFailedError,
    TopicAuthorizationFailedError,
)
SECOND = 1000
ANSWER_SECONDS = 10
PARTITION_BYTES = kafka.MEBIBYTE
"""A quarter of a second's work when compressed. A partition that runs dry while others have nothing
waits for them no longer than the linger, so that more would only cost memory."""


class _Epoch(ConsumerRebalanceListener):  # type: ignore[misc]
    """Counts assignments. It runs on the client's I/O thread, so it does nothing else."""

    def __init__(self) -> None:
        self.number = 0

    def on_partitions_revoked(self, revoked: Any) -> None:  # noqa: ARG002 - the interface
        self.number += 1

    def on_partitions_assigned(self, assigned: Any) -> None:  # noqa: ARG002 - the interface
        self.number += 1


class Group:
    """See ports.Consumer."""

    def __init__(self, settings: Settings, topics: Sequence[str]) -> None:
        self._epoch = _Epoch()
        self._topics = topics
        # A broker that has little to send waits for more, at most the linger: small batches are
        # what costs most at a low rate. Static membership lets a restarted process go on at once.
        self._client = kafka.consumer(
            settings,
            group_id=settings.processor_group_id,
            group_instance_id=settings.processor_name,
            client_id=settings.processor_name,
            session_timeout_ms=30 * SECOND,
            fetch_min_bytes=64 * 1024,
            fetch_max_wait_ms=settings.processor_linger_ms,
            max_poll_records=settings.processor_batch_records,
            max_partition_fetch_bytes=PARTITION_BYTES,
        )
        self._client.subscribe(list(topics), listener=self._epoch)

    @property
    def epoch(self) -> int:
        """See ports.Consumer."""
        return self._epoch.number

    def learn_topics(self) -> None:
        """Return when the partitions of all topics are known. Transient, Permanent.

        Who joins before that is assigned nothing, and does not look again for minutes.
        """
        with _Kinds("ask for its topics"):
            unknown = [one for one in self._topics if not self._client.partitions_for_topic(one)]
        if unknown:
            raise Transient(f"Kafka does not know the topics {', '.join(unknown)}")

    def poll(self, seconds: float) -> Mapping[Partition, Sequence[Record]]:
        """See ports.Consumer."""
        with _Kinds("read"):
            found: Mapping[Partition, Sequence[Record]] = self._client.poll(
                timeout_ms=int(seconds * SECOND)
            )
            return found

    def commit(self, positions: Mapping[Partition, int]) -> None:
        """See ports.Consumer."""
        mine = self._client.assignment()
        offsets = {
            TopicPartition(*partition): OffsetAndMetadata(offset, "", -1)
            for partition, offset in positions.items()
            if partition in mine
        }
        if offsets:
            with _Kinds("commit"):
                self._client.commit(offsets, timeout_ms=ANSWER_SECONDS * SECOND)

    def seek(self, positions: Mapping[Partition, int]) -> None:
        """See ports.Consumer."""
        mine = self._client.assignment()
        for partition, offset in positions.items():
            if partition in mine:
                self._client.seek(TopicPartition(*partition), offset)

    def pause(self) -> None:
        """See ports.Consumer."""
        self._client.pause(*self._client.assignment())

    def resume(self) -> None:
        """See ports.Consumer."""
        self._client.resume(*self._client.paused())

    def lag(self) -> Mapping[Partition, tuple[int, int]]:
        """See ports.Consumer."""
        with _Kinds("ask for offsets"):
            mine = list(self._client.assignment())
            ends = self._client.end_offsets(mine, timeout_ms=ANSWER_SECONDS * SECOND)
            found = {}
            for partition in mine:
                position = self._client.position(partition, timeout_ms=SECOND)
                if position is not None:
                    found[partition] = (position, ends[partition])
            return found

    def close(self) -> None:
        """See ports.Consumer."""
        self._client.close(autocommit=False, timeout_ms=2 * SECOND)


class _Kinds:
    """Turns the library's errors into the kinds that decide what happens next."""

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: Any, error: BaseException | None, _trace: Any) -> None:
        if isinstance(error, REFUSALS):
            raise Permanent(f"Kafka refuses to {self._what}: {error!r}") from error
        if isinstance(error, KafkaError | AssertionError | OSError):
            raise Transient(f"Kafka, {self._what}: {error!r}") from error
