"""Whether the pipeline moves: a partition with lag whose position stands still is stuck."""

import time
from collections.abc import Callable, Mapping

from millrace.processor.batch import Partition


class Progress:
    """Remembers since when each partition with lag has been at the same position."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since: dict[Partition, tuple[int, float]] = {}
        self._looked_at = clock()
        self.assigned = False

    def look(self, lag: Mapping[Partition, tuple[int, int]]) -> None:
        """Take note of (position, end) of the assigned partitions, as Kafka gave them."""
        self._looked_at = now = self._clock()
        self.assigned = bool(lag)
        since = {}
        for partition, (position, end) in lag.items():
            before = self._since.get(partition)
            if end > position:
                since[partition] = before if before and before[0] == position else (position, now)
        self._since = since

    def stuck(self) -> float:
        """Seconds for which the partition that waits longest has stood still; 0 if all move."""
        now = self._clock()
        return max((now - since for _, since in self._since.values()), default=0.0)

    def silent(self) -> float:
        """Seconds since Kafka last said how far its topics go."""
        return self._clock() - self._looked_at
