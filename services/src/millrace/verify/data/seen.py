"""Which ids were seen, in a fraction of the memory that a set of them takes. No I/O."""

from array import array

SMALLEST = 1 << 10
EMPTY = 0
MASK = (1 << 64) - 1


class Seen:
    """A set of texts that only grows: 8 bytes of digest for each, in a table with open addresses.

    The digest is Python's own hash of a text, keyed anew in each process. That two of ten million
    texts share one has a chance of 1 to 400,000: then an event is called a repetition that is none,
    which is a difference where it is stored, and none of the next run.
    """

    __slots__ = ("_count", "_table")

    def __init__(self) -> None:
        self._count = 0
        self._table = array("Q", bytes(8 * SMALLEST))

    def add(self, text: str) -> bool:
        """Remember a text; say whether it is new."""
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
    """Where a digest is, or would be: the first place from its own on that is its or empty."""
    last = len(table) - 1
    place = digest & last
    while table[place] not in (EMPTY, digest):
        place = (place + 1) & last
    return place
