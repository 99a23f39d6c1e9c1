"""A cache of recently used values, in limited memory."""

from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Generations(Generic[K, V]):
    """Values that are expensive to obtain: those that were not used for long are dropped.

    New and used values are in `young`, which the caller reads and extends. When these are too many,
    they become the old ones, and the former old ones are dropped.
    """

    def __init__(self) -> None:
        self.young: dict[K, V] = {}
        self._old: dict[K, V] = {}
        self._aged_at = 0

    def find(self, key: K) -> V | None:
        """The value, which becomes young; None if there is none."""
        found = self.young.get(key)
        if found is None and (found := self._old.pop(key, None)) is not None:
            self.young[key] = found
        return found

    def age(self, most: int, now: int, safe: int) -> None:
        """Make room if there are more than `most` young values.

        Only values last used before `safe` may be dropped; `now` and `safe` are on the caller's
        clock.
        """
        if len(self.young) > most and safe >= self._aged_at:
            self.young, self._old, self._aged_at = {}, self.young, now

    def __len__(self) -> int:
        return len(self.young) + len(self._old)
