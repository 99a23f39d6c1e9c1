"""A set of ids that takes a fraction of the memory of Python's. No I/O."""

from array import array

SMALLEST = 1 << 10
EMPTY = 0
MASK = (1 << 64) - 1


class Seen:
    """A growing set of texts, with an 8-byte digest of each in an open-addressing hash table.

    The digest is Python's own hash, with a new key in each process. The chance that two of ten
    million texts share one is 1 in 400,000: then an event is treated as a repetition, which is
    reported as a difference if it is stored, but not again in the next run.
    """

    __slots__ = ("_count", "_table")

    def __init__(self) -> None:
        self._count = 0
        self._table = array("Q", bytes(8 * SMALLEST))

    def add(self, text: str) -> bool:
        """Add a text; return whether it is new."""
        if 3 * self._count >= 2 * len(self._table):
            self._grow()
        digest = hash(text) & MASK or 1
        place = _place(self._table, digest)
        if self._table[place] == digest:
            return False
        self._table[place] = digest
        self._count += 1
        return True

    def __contains__(self, text: str) -> bool:
        digest = hash(text) & MASK or 1
        return self._table[_place(self._table, digest)] == digest

    def __len__(self) -> int:
        return self._count

    def _grow(self) -> None:
        table = array("Q", bytes(16 * len(self._table)))
        for digest in self._table:
            if digest != EMPTY:
                table[_place(table, digest)] = digest
        self._table = table


def _place(table: "array[int]", digest: int) -> int:
    """The slot of a digest: the first one from its hash on that has it or is empty."""
    last = len(table) - 1
    place = digest & last
    while table[place] not in (EMPTY, digest):
        place = (place + 1) & last
    return place
