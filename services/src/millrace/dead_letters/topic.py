"""The dead letter topic: reads it, and sends records back to their topics."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from kafka.errors import KafkaError, TopicAuthorizationFailedError
from kafka.structs import OffsetAndMetadata, TopicPartition

from millrace.clients import kafka
from millrace.clients.letter_headers import PARTIAL, PREFIX
from millrace.config import Settings
from millrace.errors import MillraceError
from millrace.feeds import FEEDS
from millrace.runtime.chunks import chunks

GROUP = "operator-dead-letters"
REPLAY_OF = "millrace.replay-of"
"""Header of a replayed record: the position of its dead letter."""
ANSWER_SECONDS = 15
AT_ONCE = 500

Headers = Sequence[tuple[str, bytes | None]]


class DeadLetterError(MillraceError):
    """A dead letter does not exist, or cannot be replayed."""


class Origin(NamedTuple):
    """The origin of a dead letter, and its reason."""

    topic: str
    partition: int
    offset: int
    stage: str
    reason: str


@contextmanager
def opened(settings: Settings) -> Iterator["Letters"]:
    """A context with the dead letter topic; errors of Kafka are raised as one line."""
    kafka.check_credentials(settings)
    client = kafka.consumer(settings, group_id=GROUP)
    try:
        yield Letters(client, settings.dead_letters_topic)
    except KafkaError as error:
        raise DeadLetterError(f"Kafka, {settings.dead_letters_topic}: {error!r}") from error
    finally:
        client.close(autocommit=False)


class Letters:
    """The dead letter topic, read with the operator's rights."""

    def __init__(self, client: Any, topic: str) -> None:
        self._topic = topic
        self._client = client
        numbers = client.partitions_for_topic(topic)
        if not numbers:
            raise DeadLetterError(f"there is no topic {topic}, or no right to read it")
        self._partitions = [TopicPartition(topic, number) for number in sorted(numbers)]
        self._starts = kafka.starts(client, self._partitions)
        self._ends = kafka.ends(client, self._partitions)

    def replayed(self) -> dict[int, int]:
        """The offset of each partition before which all letters have been replayed."""
        found = {p: self._client.committed(p) for p in self._partitions}
        return {p.partition: max(found[p] or 0, self._starts[p]) for p in self._partitions}

    def newest(self, limit: int) -> list[Any]:
        """The newest records by time, oldest first."""
        starts = {p: max(self._starts[p], self._ends[p] - limit) for p in self._partitions}
        records = [r for p in self._partitions for r in self._read(p, starts[p], self._ends[p])]
        return sorted(records, key=lambda record: record.timestamp)[-limit:] if limit > 0 else []

    def at(self, position: str) -> Any:
        """The record at a position of the form partition/offset."""
        number, _, text = position.partition("/")
        if number.isdecimal() and text.isdecimal():
            place, offset = TopicPartition(self._topic, int(number)), int(text)
            if place in self._ends and self._starts[place] <= offset < self._ends[place]:
                for record in self._read(place, offset, offset + 1):
                    return record
        raise DeadLetterError(f"there is no dead letter {position} (positions look like 0/17)")

    def not_replayed(self) -> Iterator[list[Any]]:
        """The present letters that were not replayed, some of one partition at a time."""
        done = self.replayed()
        for place in self._partitions:
            yield from chunks(self._read(place, done[place.partition], self._ends[place]), AT_ONCE)

    def mark_replayed(self, record: Any) -> None:
        """Move the group's offset after this record."""
        place = TopicPartition(self._topic, record.partition)
        self._client.commit({place: OffsetAndMetadata(record.offset + 1, "", -1)})

    def _read(self, place: TopicPartition, start: int, end: int) -> Iterator[Any]:
        """Records of a partition from `start` to `end`, exclusive."""
        self._client.assign([place])
        self._client.seek(place, start)
        heard = time.monotonic()
        # The position also passes offsets without a record.
        while start < end:
            records = self._client.poll(timeout_ms=500, max_records=AT_ONCE).get(place, [])
            for record in records:
                if record.offset < end:
                    yield record
            position = self._client.position(place)
            if position > start:
                start, heard = position, time.monotonic()
            elif time.monotonic() - heard > ANSWER_SECONDS:
                raise kafka.BrokerUnreachable(f"Kafka gives no records of {self._topic}")


def origin(headers: Headers) -> Origin | None:
    """The origin in the headers; None if no processor wrote the record."""
    said = {key: (value or b"").decode(errors="replace") for key, value in headers}
    try:
        return Origin(
            said[f"{PREFIX}topic"],
            int(said[f"{PREFIX}partition"]),
            int(said[f"{PREFIX}offset"]),
            said.get(f"{PREFIX}stage", ""),
            said.get(f"{PREFIX}exception.message", ""),
        )
    except (KeyError, ValueError):
        return None


def replayed_headers(headers: Headers, position: str) -> list[tuple[str, bytes]]:
    """The original headers, and the position of the replayed dead letter."""
    # The client cannot send a header without a value.
    kept = [(k, v or b"") for k, v in headers if not k.startswith(PREFIX) and k != REPLAY_OF]
    return [*kept, (REPLAY_OF, position.encode())]


def send(producer: Any, records: Sequence[Any]) -> list[str]:
    """Send records to their topics until all are acknowledged; report those that cannot be."""
    topics = {feed.topic for feed in FEEDS.values()}
    refused, waiting = [], []
    try:
        for record in records:
            position = f"{record.topic}/{record.partition}/{record.offset}"
            source = origin(record.headers)
            if source is None or source.topic not in topics:
                refused.append(f"{position} does not come from a feed's topic: not replayed")
                continue
            if any(name == PARTIAL for name, _ in record.headers):
                place = f"{source.topic}/{source.partition}/{source.offset}"
                refused.append(f"{position} is not all of the record at {place}: not replayed")
                continue
            future = producer.send(
                source.topic,
                # The client cannot send a record with neither key nor value.
                key=b"" if record.key is None and record.value is None else record.key,
                value=record.value,
                headers=replayed_headers(record.headers, position),
                partition=source.partition,
            )
            waiting.append(future)
        for future in waiting:
            future.get(timeout=ANSWER_SECONDS)
    except TopicAuthorizationFailedError as error:
        raise DeadLetterError(f"Kafka does not let this user write to {error}") from error
    except (KafkaError, AssertionError) as error:
        raise DeadLetterError(f"not acknowledged, so not marked as replayed: {error!r}") from error
    return refused
