"""What sources that poll an upstream within an allowance of requests have in common."""

from collections.abc import Sequence

from millrace.sources.budget import Budget
from millrace.sources.http import Client


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
