"""What sources that poll an upstream within an allowance of requests have in common."""

from collections.abc import Sequence
from pathlib import Path

from millrace.config import Settings
from millrace.sources.budget import Budget
from millrace.sources.http import Client, Upstream


def budget_file(settings: Settings, upstream: Upstream) -> Path:
    """Where requests are counted: what the simulator was asked is not taken from a key."""
    name = "simulated" if upstream.simulated else "budget"
    return settings.producer_state_dir / f"{name}.json"


class Metered:
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
    ) -> None:
        self.units = tuple(units)
        self.shortest_interval = interval
        self.simulated = simulated
        self._client = client
        self._budget = budget

    @property
    def budget_left(self) -> int | None:
        """Requests that the key's allowance has left."""
        return self._budget.left
