"""Says when too large a share of what is read of a feed cannot be processed.

A few bad records are dead letters. When most are bad, the producer or the schema is wrong, and
moving a whole topic to the dead letters would hide it.
"""

from collections import deque


class Breaker:
    """Looks at the last `window` records; opens when a share of them or more was bad."""

    def __init__(self, window: int, share: float) -> None:
        self._window = window
        self._share = share
        self._batches: deque[tuple[int, int]] = deque()
        self._records = 0
        self._bad = 0

    def count(self, records: int, bad: int) -> str | None:
        """Count a batch; the reason if the breaker opens."""
        self._batches.append((records, bad))
        self._records += records
        self._bad += bad
        while self._records - self._batches[0][0] >= self._window:
            old_records, old_bad = self._batches.popleft()
            self._records -= old_records
            self._bad -= old_bad
        if self._records >= self._window and self._bad >= self._share * self._records:
            return (
                f"{self._bad} of the last {self._records} records could not be processed; stopped"
                " before more become dead letters. Look at `millrace dead-letters list`"
            )
        return None
