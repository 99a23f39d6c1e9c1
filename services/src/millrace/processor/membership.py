"""Makes a member join its group in cases in which the client library would not.

The library joins in the background while the consumer polls. Two faults are repaired: if the topics
change and change back meanwhile, the library forgets that it is joining and stays outside for ever;
and if the answer arrives between two polls, it joins again, and so do all members, each time.
Importing this module applies the repair.
"""

from typing import Any

import kafka.consumer.group
from kafka.coordinator.consumer import ConsumerCoordinator

TAKEN_MILLISECONDS = 1000
"""An answer that has arrived is handled at once; this timeout is for a busy thread."""


class Coordinator(ConsumerCoordinator):  # type: ignore[misc]
    """A member that completes a join that it has started."""

    _join_task: Any

    def need_rejoin(self) -> bool:
        """Also true while it is joining, even if the reason has gone."""
        return bool(self.rejoining or super().need_rejoin())

    async def join_group_async(self, timeout_ms: float | None = None) -> bool:
        """See BaseCoordinator, which treats a completed task as one that was never started."""
        task = self._join_task
        if self.rejoining and task is not None and task.is_done:
            self._join_task = self._manager.call_soon(task)
            if timeout_ms is not None:
                timeout_ms = max(timeout_ms, TAKEN_MILLISECONDS)
        return bool(await super().join_group_async(timeout_ms))


kafka.consumer.group.ConsumerCoordinator = Coordinator
