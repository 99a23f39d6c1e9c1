"""What was used lately, in bounded memory."""

from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Generations(Generic[K, V]):
    """Values that can be had again, at a price: those that are not used for long are forgotten.

    New ones and those that are used join the young, of which the caller reads and to which it
    adds. When these are many, they become the old, and what was old until then is forgotten.
    """

    def __init__(self) -> None:
        self.young: dict[K, V] = {}
        self._old: dict[K, V] = {}
        self._aged_at = 0

    def find(self, key: K) -> V | None:
        """The value, which is young from now on; None if there is none."""
        found = self.young.get(key)
        if found is None and (found := self._old.pop(key, None)) is not None:
            self.young[key] = found
        return found

    def age(self, most: int, now: int, safe: int) -> None:
        """Make room if there are more than `most` young ones.

        Only what was last used before `safe`, by the caller's clock, may be forgotten; it is `now`.
        """
        if len(self.young) > most and safe >= self._aged_at:
            self.young, self._old, self._aged_at = {}, self.young, now

    def __len__(self) -> int:
        return len(self.young) + len(self._old)
