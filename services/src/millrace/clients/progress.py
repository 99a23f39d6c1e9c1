"""Whether the pipeline makes progress: all partitions are read, and none with lag is stuck."""

import time
from collections.abc import Callable, Container, Mapping, Sequence

Partition = tuple[str, int]
"""Topic and partition number."""
MOST_NAMED = 3
Problem = Callable[[], str | None]


class Progress:
    """Records since when each partition with lag has been at the same position."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since: dict[Partition, tuple[int, int, float]] = {}
        self._unread: Sequence[Partition] = ()
        self._joined = False
        self.standing: Problem = lambda: None
        self.trouble: str | None = None
        self._looked_at = self._heard_at = clock()

    def look(
        self,
        lag: Mapping[Partition, tuple[int, int]],
        unread: Sequence[Partition] = (),
        stand: Container[Partition] = (),
        *,
        joined: bool = True,
    ) -> None:
        """Record (position, end) of partitions, and those that no member reads.

        Partitions that stand still for a known reason do not count as stuck.

        A process that has not joined the group reads none.
        """
        self._looked_at = now = self._clock()
        since = {}
        for partition, (position, end) in lag.items():
            before = self._since.get(partition)
            if end > position and partition not in stand:
                still = before is not None and before[0] == position
                since[partition] = (position, end, before[2] if before and still else now)
        self._since, self._unread, self._joined = since, unread, joined

    def stuck(self) -> float:
        """Seconds for which the longest stuck partition has been stuck; 0 if none is."""
        now = self._clock()
        return max((now - since for _, _, since in self._since.values()), default=0.0)

    def hear(self) -> None:
        """Record that the database answered; an error is an answer too."""
        self._heard_at = self._clock()

    def unheard(self) -> float:
        """Seconds since the database last answered."""
        return self._clock() - self._heard_at

    def silent(self) -> float:
        """Seconds since Kafka last reported the ends of its topics."""
        return self._clock() - self._looked_at

    def problem(self, limit: float) -> str | None:
        """Partitions that no member reads, or that have been stuck for `limit` seconds."""
        if found := self.trouble or self.standing():
            return found
        if not self._joined:
            return "it is not in its consumer group"
        if unread := self._unread:
            return f"nobody reads {named(unread)}"
        now = self._clock()
        still = {p: found for p, found in self._since.items() if now - found[2] > limit}
        if not still:
            return None
        waiting = sum(end - position for position, end, _ in still.values())
        return (
            f"{named(sorted(still))} stood still for {self.stuck():.0f} s"
            f" with {waiting} records to store"
        )


def named(partitions: Sequence[Partition]) -> str:
    """The first of these partitions, and the number of others."""
    names = [f"{topic}/{number}" for topic, number in partitions[:MOST_NAMED]]
    more = len(partitions) - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "")
