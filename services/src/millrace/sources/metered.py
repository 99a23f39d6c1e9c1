"""What sources that poll an upstream within an allowance of requests have in common."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from millrace.config import Settings
from millrace.sources.base import Batch, Quota
from millrace.sources.budget import Budget
from millrace.sources.http import Client, Upstream


def budget_file(settings: Settings, upstream: Upstream) -> Path:
    """Where requests are counted: what the simulator was asked is not taken from a key."""
    name = "simulated" if upstream.simulated else "budget"
    return settings.producer_state_dir / f"{name}.json"


class Metered(ABC):
    """An endless source that asks a client as often as its budget allows."""

    endless = True

    def __init__(
        self,
        client: Client,
        budget: Budget,
        units: Sequence[str],
        *,
        interval: float,
        simulated: bool,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.units = tuple(units)
        self.shortest_interval = interval
        self.simulated = simulated
        self._client = client
        self._budget = budget
        self._clock = clock

    @property
    def budget_left(self) -> int | None:
        """Requests that the key's allowance has left."""
        return self._budget.left

    def fetch(self, unit: str) -> Batch:
        """Ask for one unit; when the upstream refuses, nothing before the time that it names."""
        self._budget.take()
        try:
            batch = self._ask(unit)
        except Quota as error:
            raise Quota(str(error), self._budget.rest(error.retry_at)) from None
        self._budget.served()
        return batch

    @abstractmethod
    def _ask(self, unit: str) -> Batch:
        """One request, which is counted."""

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock(), UTC)
