"""Says when too large a share of what is read of a feed cannot be processed.

A few bad records are dead letters. When most are bad, the producer or the schema is wrong, and
moving a whole topic to the dead letters would hide it.
"""

from typing import NamedTuple


class Tally(NamedTuple):
    """How many of the last records were bad. It is kept with what is committed."""

    records: int = 0
    bad: int = 0


class Breaker:
    """Looks at the last `window` records; opens when a share of them or more was bad."""

    def __init__(self, window: int, share: float) -> None:
        self._window = window
        self._share = share
        self._batches: list[Tally] = []
        self._open: str | None = None

    @property
    def tally(self) -> Tally:
        """What it looks at, to go on from after a restart."""
        records = sum(batch.records for batch in self._batches)
        return Tally(records, sum(batch.bad for batch in self._batches))

    def restore(self, tally: Tally) -> None:
        """Go on from there, closed."""
        self._batches = [tally] if tally.records else []
        self._open = None

    def count(self, records: int, bad: int) -> str | None:
        """Count a batch; if the breaker opens, or is open, the reason: then it is not counted."""
        if self._open:
            return self._open
        before = self._batches
        self._batches = [*before, Tally(records, bad)]
        while self.tally.records - self._batches[0].records >= self._window:
            self._batches.pop(0)
        seen = self.tally
        if seen.records >= self._window and seen.bad >= self._share * seen.records:
            self._batches = before
            self._open = (
                f"{seen.bad} of the last {seen.records} records could not be processed; stopped"
                " before more become dead letters. Look at `millrace dead-letters list`"
            )
        return self._open
