"""What a member of the group holds: which partitions, since when, and of which logs."""

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import structlog
from kafka.consumer.subscription_state import ConsumerRebalanceListener
from kafka.structs import TopicPartition

from millrace.clients import topic_ids
from millrace.processor.batch import Partition

log = structlog.get_logger(__name__)


class Holdings(ConsumerRebalanceListener):  # type: ignore[misc]
    """Numbers what comes. The client calls it on its I/O thread, so it does nothing else."""

    def __init__(self) -> None:
        self.numbers: Mapping[Partition, int] = {}
        self._last = 0
        self._lock = threading.Lock()

    def on_partitions_revoked(self, revoked: Any) -> None:
        """All are, for the time in which the members join; what stays is known after it."""

    def on_partitions_lost(self, lost: Any) -> None:
        with self._lock:
            self.numbers = {p: number for p, number in self.numbers.items() if p not in lost}

    def on_partitions_assigned(self, assigned: Any) -> None:
        with self._lock:
            self._last += 1
            self.numbers = {tuple(p): self.numbers.get(tuple(p), self._last) for p in assigned}

    def renew(self, topics: Collection[str]) -> None:
        """What is held of these topics comes anew. For the consumer thread."""
        with self._lock:
            self._last += 1
            self.numbers = {p: self._last if p[0] in topics else n for p, n in self.numbers.items()}


class Logs:
    """Notices that a topic was made again: see millrace.clients.topic_ids.

    The client goes on at its own position, or at what is committed, whatever the log. It knows of
    another one when it has asked for the topic's metadata again.
    """

    def __init__(
        self,
        client: Any,
        holdings: Holdings,
        topics: Sequence[str],
        found_new: Callable[[], None],
    ) -> None:
        self._client = client
        self._holdings = holdings
        self._topics = topics
        self._found_new = found_new
        self._checked: Mapping[Partition, int] = {}
        self.ids: dict[str, str] = {}
        """By topic, the id of the log that its records are from."""

    def find_new(self, timeout_ms: int) -> Collection[Partition]:
        """Partitions whose position is in another log than their topic's is now.

        What is held of a topic that was made again comes anew. It raises what the client does, and
        has then noticed nothing.
        """
        held = self._holdings.numbers
        now = {topic: topic_ids.known(self._client, topic) for topic in self._topics}
        other = {t: one for t, one in now.items() if one is not None and one != self.ids.get(t)}
        made_again = other.keys() & self.ids.keys()
        came = [p for p, number in held.items() if self._checked.get(p) != number]
        new = {p for p in held if p[0] in made_again}
        new |= {p for p in came if self._is_former(p, now[p[0]], timeout_ms)}
        self.ids |= other
        if made_again:
            self._holdings.renew(made_again)
        # What has come since is looked at the next time.
        renewed = {p: n for p, n in self._holdings.numbers.items() if p[0] in made_again}
        self._checked = {**held, **renewed}
        for topic in sorted({topic for topic, _ in new}):
            log.warning("the topic was made again: reads it from its start", topic=topic)
            self._found_new()
        return new

    def _is_former(self, partition: Partition, log_id: str | None, timeout_ms: int) -> bool:
        """Whether what is committed of a partition is a position in another log."""
        place = TopicPartition(*partition)
        committed = self._client.committed(place, metadata=True, timeout_ms=timeout_ms)
        return committed is not None and topic_ids.is_former(committed.metadata, log_id)
