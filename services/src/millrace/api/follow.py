"""Events after a position in a feed: each stored event once, in the order of its partition.

A position has, for each partition of the feed's topic, the offset of the first record that was not
sent. Below the processor's committed offset everything is stored, whatever the order in which its
writers finish, so a stream reads up to this offset. If the topic was made again, a position also
names its log: a position in a former log is before the start of the current one.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from millrace.api.problems import bad_request
from millrace.api.store import Document
from millrace.clients.lag import PartitionLag

STEP = 1000
"""Number of a partition's offsets that one query covers."""
FORM = re.compile("([0-9a-f-]{36}/)?[0-9]{1,9}:[0-9]{1,18}(,[0-9]{1,9}:[0-9]{1,18})*")

Read = Callable[[int, int, int], Sequence[Document]]
"""The documents of a partition from one offset to before another, by offset."""


def committed(partitions: Sequence[PartitionLag]) -> dict[int, int]:
    """The offset of each partition below which every record is processed."""
    return {p.partition: p.end - p.lag for p in partitions}


def encode(position: Mapping[int, int], log: str) -> str:
    """A position as text, such as 0:17,1:4, with its log's name in front if it has one."""
    text = ",".join(f"{partition}:{offset}" for partition, offset in sorted(position.items()))
    return f"{log}/{text}" if log else text


def decode(text: str, partitions: Sequence[PartitionLag], log: str) -> dict[int, int]:
    """Read a position; raises a problem if it is invalid, or impossible in this log.

    A position in another log becomes empty, which is before the start of this one.
    """
    if not FORM.fullmatch(text):
        raise bad_request("The position is not one that this API has made.")
    *other, own = text.split("/")
    pairs = [part.split(":") for part in own.split(",")]
    position = {int(partition): int(offset) for partition, offset in pairs}
    if len(position) < len(pairs):
        raise bad_request("The position is not one that this API has made.")
    if other != ([log] if log else []):
        return {p.partition: 0 for p in partitions}
    ends = {p.partition: p.end for p in partitions}
    if any(offset > ends.get(partition, -1) for partition, offset in position.items()):
        raise bad_request("The position is ahead of the log.")
    return position


class Follower:
    """Reads on from a position. A partition that the position lacks is new, and read from its
    start.

    Between two events, `position` is where to resume after the first one.
    """

    def __init__(self, read: Read, position: Mapping[int, int], log: str) -> None:
        self._read = read
        self._log = log
        self.position = dict(position)

    @property
    def text(self) -> str:
        """The position as text."""
        return encode(self.position, self._log)

    def next(self, limits: Mapping[int, int]) -> Iterator[Mapping[str, Any]]:
        """The documents of the next STEP offsets of each partition, within its limit."""
        for partition, limit in sorted(limits.items()):
            start = self.position.get(partition, 0)
            end = min(limit, start + STEP)
            if start >= end:
                continue
            for document in self._read(partition, start, end):
                self.position[partition] = document["kafka"]["offset"] + 1
                yield document
            self.position[partition] = end

    def is_behind(self, limits: Mapping[int, int]) -> bool:
        """Whether there are more offsets below these limits."""
        return any(self.position.get(partition, 0) < limit for partition, limit in limits.items())
