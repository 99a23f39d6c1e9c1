"""Whether the pipeline moves: every partition is read, and none with lag stands still."""

import time
from collections.abc import Callable, Container, Mapping, Sequence

Partition = tuple[str, int]
"""Topic and partition number."""
MOST_NAMED = 3
Problem = Callable[[], str | None]


class Progress:
    """Remembers since when each partition with lag has been at the same position."""

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
        """Take note of (position, end) of partitions, and of those that nobody reads.

        Those that stand still with a reason of their own do not count as stuck.

        Who has not joined the group reads none.
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
        """Seconds for which the partition that waits longest has stood still; 0 if all move."""
        now = self._clock()
        return max((now - since for _, _, since in self._since.values()), default=0.0)

    def hear(self) -> None:
        """Take note that the database answered a question; an error is an answer too."""
        self._heard_at = self._clock()

    def unheard(self) -> float:
        """Seconds since the database last answered a question."""
        return self._clock() - self._heard_at

    def silent(self) -> float:
        """Seconds since Kafka last said how far its topics go."""
        return self._clock() - self._looked_at

    def problem(self, limit: float) -> str | None:
        """What nobody reads, or has not moved for `limit` seconds although there is more."""
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
    """The first of these partitions, and how many more there are."""
    names = [f"{topic}/{number}" for topic, number in partitions[:MOST_NAMED]]
    more = len(partitions) - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "")
