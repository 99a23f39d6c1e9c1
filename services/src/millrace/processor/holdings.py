"""The partitions that a member of the group holds, since when, and their logs."""

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
    """Numbers newly assigned partitions. It runs on the client's I/O thread, so it does no more."""

    def __init__(self) -> None:
        self.numbers: Mapping[Partition, int] = {}
        self._last = 0
        self._lock = threading.Lock()

    def on_partitions_revoked(self, revoked: Any) -> None:
        """All partitions are revoked while members join; those that stay are known afterwards."""

    def on_partitions_lost(self, lost: Any) -> None:
        with self._lock:
            self.numbers = {p: number for p, number in self.numbers.items() if p not in lost}

    def on_partitions_assigned(self, assigned: Any) -> None:
        with self._lock:
            self._last += 1
            self.numbers = {tuple(p): self.numbers.get(tuple(p), self._last) for p in assigned}

    def renew(self, topics: Collection[str]) -> None:
        """Renumber the held partitions of these topics. Called by the consumer thread."""
        with self._lock:
            self._last += 1
            self.numbers = {p: self._last if p[0] in topics else n for p, n in self.numbers.items()}


class Logs:
    """Detects that a topic was made again: see millrace.clients.topic_ids.

    The client continues at its own position, or at the committed offset, in any log. It learns of
    another log when it has requested the topic's metadata again.
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
        """The id of the log of each topic's records."""

    def find_new(self, timeout_ms: int) -> Collection[Partition]:
        """Partitions whose position is in another log than their topic's current one.

        Held partitions of a topic that was made again are renumbered. Errors of the client are
        raised before anything is changed.
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
        # Partitions assigned since are checked the next time.
        renewed = {p: n for p, n in self._holdings.numbers.items() if p[0] in made_again}
        self._checked = {**held, **renewed}
        for topic in sorted({topic for topic, _ in new}):
            log.warning("the topic was made again: reads it from its start", topic=topic)
            self._found_new()
        return new

    def _is_former(self, partition: Partition, log_id: str | None, timeout_ms: int) -> bool:
        """Whether the committed offset of a partition is a position in another log."""
        place = TopicPartition(*partition)
        committed = self._client.committed(place, metadata=True, timeout_ms=timeout_ms)
        return committed is not None and topic_ids.is_former(committed.metadata, log_id)
