"""Standing partitions: why and since when they stand, and when they are retried."""

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

import structlog

from millrace.clients.progress import Partition
from millrace.runtime import retry
from millrace.runtime.redaction import shown

log = structlog.get_logger(__name__)

FIRST_SECONDS, LONGEST_SECONDS = 1.0, 60.0
LONGEST_REASON = 300


@dataclass
class Stand:
    """A partition that cannot get past an offset."""

    offset: int
    reason: str
    times: int
    again_at: float | None
    """When it is retried; None: only when an operator commands it."""
    held: bool = True


class Standing:
    """The standing partitions. Only the consumer thread changes them."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._found: dict[Partition, Stand] = {}

    def __contains__(self, partition: object) -> bool:
        return partition in self._found

    def stand(self, partition: Partition, offset: int, reason: str, *, again: bool = True) -> None:
        """Let the partition stand at this offset; it is retried at growing intervals."""
        known = self._found.get(partition)
        times = known.times + 1 if known and known.offset == offset else 0
        wait = retry.exponential(times, FIRST_SECONDS, LONGEST_SECONDS)
        again_at = self._clock() + wait if again else None
        said = shown(reason, LONGEST_REASON)
        self._found = {**self._found, partition: Stand(offset, said, times, again_at)}
        topic, number = partition
        log.error("stands still", topic=topic, partition=number, offset=offset, reason=said)

    def places(self) -> dict[Partition, tuple[int, bool]]:
        """The offset of each standing partition, and whether it waits for a command."""
        return {p: (one.offset, one.again_at is None) for p, one in self._found.items() if one.held}

    def held(self) -> set[Partition]:
        """The partitions that are not read now."""
        return {partition for partition, found in self._found.items() if found.held}

    def due(self) -> set[Partition]:
        """The partitions that are due for a retry."""
        now = self._clock()
        return {
            partition
            for partition, found in self._found.items()
            if found.held and found.again_at is not None and found.again_at <= now
        }

    def try_again(self, busy: Collection[str]) -> None:
        """Read partitions that are due, unless their topic has batches in flight."""
        for partition in self.due():
            if partition[0] not in busy:
                self._found[partition].held = False

    def postpone(self, seconds: float) -> None:
        """Postpone the retry of due partitions."""
        for partition in self.due():
            self._found[partition].again_at = self._clock() + seconds

    def carry_out(self, partition: Partition) -> None:
        """Follow an operator's command: read on as soon as the topic has no batches in flight."""
        self._found[partition].again_at = self._clock()

    def moved(self, partition: Partition, position: int) -> None:
        """Record the position of the partition."""
        found = self._found.get(partition)
        if found is not None and position > found.offset:
            self.forget(partition)
            log.info("goes on", topic=partition[0], partition=partition[1], offset=position)

    def forget(self, partition: Partition) -> None:
        """Drop a partition that another member has now."""
        self._found = {p: found for p, found in self._found.items() if p != partition}

    def problem(self) -> str | None:
        """Which partitions stand still, where and why."""
        texts = [
            f"{topic}/{number} stands still at offset {found.offset}: {found.reason}"
            for (topic, number), found in sorted(self._found.items())
        ]
        return "; ".join(texts) or None

    def shown(self) -> list[dict[str, Any]]:
        """The standing partitions for programs."""
        return [
            {
                "topic": topic,
                "partition": number,
                "offset": found.offset,
                "reason": found.reason,
                "waits_for_command": found.held and found.again_at is None,
            }
            for (topic, number), found in sorted(self._found.items())
        ]
