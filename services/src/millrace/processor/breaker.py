"""Detects when too large a share of a feed's records cannot be processed.

A few bad records become dead letters. If most are bad, the producer or the schema is wrong, and
moving a whole topic to the dead letters would hide it.
"""

from typing import NamedTuple


class Tally(NamedTuple):
    """Counts of the last and the bad records, stored with each commit."""

    records: int = 0
    bad: int = 0


class Breaker:
    """Counts the last `window` records; opens when the share of bad ones reaches the limit."""

    def __init__(self, window: int, share: float) -> None:
        self._window = window
        self._share = share
        self._batches: list[Tally] = []
        self._open: str | None = None

    @property
    def tally(self) -> Tally:
        """The current counts, to continue from after a restart."""
        records = sum(batch.records for batch in self._batches)
        return Tally(records, sum(batch.bad for batch in self._batches))

    def restore(self, tally: Tally) -> None:
        """Continue from these counts, closed."""
        self._batches = [tally] if tally.records else []
        self._open = None

    def count(self, records: int, bad: int) -> str | None:
        """Count a batch; if the breaker opens or is open, return the reason instead of counting."""
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
