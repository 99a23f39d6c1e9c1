"""Checks a topic's log before a position that the log does not have is reset.

The position may be one in the former log of a topic that was made again. The library would reset it
to the start, and request the topic's metadata, which shows the new log, only when that is old.
Importing this module makes the library request it first. None of the library's listeners is called
before a reset, and without automatic resets (`auto_offset_reset="none"`) a partition without a
committed offset would have no position either.
"""

from contextlib import suppress

import kafka.consumer.group
from kafka.errors import KafkaError

from millrace.processor.parked import Resuming


class Asking(Resuming):
    """A fetcher that refreshes the metadata before a reset."""

    async def _reset_offsets_async(self, timeout_ms: float | None = None) -> None:
        limit = self.config["request_timeout_ms"] if timeout_ms is None else timeout_ms
        with suppress(KafkaError):  # without an answer, the following fails as usual
            await self._manager.wait_for(self._manager.cluster.request_update(), limit)
        await super()._reset_offsets_async(timeout_ms)


kafka.consumer.group.Fetcher = Asking
