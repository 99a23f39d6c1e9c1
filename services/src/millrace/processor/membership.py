"""Brings a member into its group where the client library would leave it outside.

The library joins in the background while the consumer polls. What it is told meanwhile must not
make it forget that it joins, nor ask again for what was answered between two polls: the first
leaves it outside for ever, and with the second all members join again, each time.
Importing this module is what makes the library join so.
"""

from typing import Any

import kafka.consumer.group
from kafka.coordinator.consumer import ConsumerCoordinator

TAKEN_MILLISECONDS = 1000
"""An answer that is here is taken at once; this is for a thread that has much to do."""


class Coordinator(ConsumerCoordinator):  # type: ignore[misc]
    """A member that follows up what it has begun."""

    _join_task: Any

    def need_rejoin(self) -> bool:
        """Also while it joins, whatever became of the reason."""
        return bool(self.rejoining or super().need_rejoin())

    async def join_group_async(self, timeout_ms: float | None = None) -> bool:
        """See BaseCoordinator: it takes a task that is done for one that was never begun."""
        task = self._join_task
        if self.rejoining and task is not None and task.is_done:
            self._join_task = self._manager.call_soon(task)
            if timeout_ms is not None:
                timeout_ms = max(timeout_ms, TAKEN_MILLISECONDS)
        return bool(await super().join_group_async(timeout_ms))


kafka.consumer.group.ConsumerCoordinator = Coordinator
