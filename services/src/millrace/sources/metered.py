"""Common parts of sources with a limited number of requests."""

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
    """The file of counted requests: those to the simulator do not count for a key."""
    name = "simulated" if upstream.simulated else "budget"
    return settings.producer_state_dir / f"{name}.json"


class Metered(ABC):
    """An endless source that polls as often as its budget allows."""

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
        """Requests left in the key's allowance."""
        return self._budget.left

    def fetch(self, unit: str) -> Batch:
        """Fetch one unit; after a refusal, nothing before the time that the upstream names."""
        self._budget.take()
        try:
            batch = self._ask(unit)
        except Quota as error:
            raise Quota(str(error), self._budget.rest(error.retry_at)) from None
        self._budget.served()
        return batch

    @abstractmethod
    def _ask(self, unit: str) -> Batch:
        """Make one counted request."""

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock(), UTC)
