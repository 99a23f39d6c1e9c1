"""Asks which log a topic is before a position is given up that the log does not have.

Such a position may be one in the log of a topic that was made again meanwhile. The library would go
to the start, and ask for the topic's metadata, which says so, when that is old.
Importing this module is what makes the library ask first: of its listeners, none is called before a
reset, and without resets of its own (`auto_offset_reset="none"`) a partition that nothing is
committed of has no position either.
"""

from contextlib import suppress

import kafka.consumer.group
from kafka.errors import KafkaError

from millrace.processor.parked import Resuming


class Asking(Resuming):
    """A fetcher that knows what it resets."""

    async def _reset_offsets_async(self, timeout_ms: float | None = None) -> None:
        limit = self.config["request_timeout_ms"] if timeout_ms is None else timeout_ms
        with suppress(KafkaError):  # without an answer, what follows fails as it always did
            await self._manager.wait_for(self._manager.cluster.request_update(), limit)
        await super()._reset_offsets_async(timeout_ms)


kafka.consumer.group.Fetcher = Asking
