"""Compares a partition of a feed's log with its stored documents. No I/O.

Both sides are read side by side in the order of their offsets, so memory does not grow with the
log.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from millrace.clients.topic_ids import FIRST
from millrace.verify.data.oracle import DeadLetter, Outcome, Record, Repeated, Stored

Document = Mapping[str, Any]
SHOWN = 20
"""Number of differences that are reported individually."""


class RecordPosition(NamedTuple):
    """The position of a record, in the named log: see millrace.clients.topic_ids."""

    topic: str
    partition: int
    offset: int
    log: str = FIRST

    def __str__(self) -> str:
        return f"{self.topic}[{self.partition}]@{self.offset}"


class Letter(NamedTuple):
    """A dead letter: the record's bytes, or their beginning."""

    key: bytes | None
    value: bytes | None
    partial: bool = False
    skipped: bool = False
    """Whether an operator commanded it; its offset may have no record, or a stored one."""
    conflict: bool = False
    """Whether another event with its id and other content was stored."""

    def is_of(self, record: Record) -> bool:
        """Whether it has the record's content."""
        pairs = (record.key, self.key), (record.value, self.value)
        return all(
            whole == own or (self.partial and own and whole and whole.startswith(own))
            for whole, own in pairs
        )


Letters = dict[RecordPosition, list[Letter]]


@dataclass
class Tally:
    """What was compared, and the differences."""

    records: int = 0
    stored: int = 0
    repeated: int = 0
    conflicts: int = 0
    """Events that are dead letters, because their ids came before with other content."""
    dead_letters: int = 0
    repeated_letters: int = 0
    former: int = 0
    """Documents and dead letters of a former log, whose topic was made again since."""
    trimmed: int = 0
    """Documents and dead letters whose records retention has removed from the log."""
    alerts: int = 0
    repeated_alerts: int = 0
    differences: int = 0
    examples: list[str] = field(default_factory=list)

    def differs(self, text: str) -> None:
        """Count a difference; report it if there are not too many."""
        self.differences += 1
        if len(self.examples) < SHOWN:
            self.examples.append(text)


@dataclass(frozen=True)
class Partition:
    """The compared part of a partition: from its first record to a fixed end."""

    topic: str
    number: int
    start: int
    end: int
    log: str = FIRST
    """The name of the topic's current log: see millrace.clients.topic_ids."""

    def place(self, offset: int) -> RecordPosition:
        """A position in this partition."""
        return RecordPosition(self.topic, self.number, offset, self.log)


def compare(
    partition: Partition,
    outcomes: Iterable[tuple[Record, Outcome]],
    documents: Iterable[Document],
    letters: Letters,
    elsewhere: Callable[[str], bool],
    tally: Tally,
) -> None:
    """Compare each record's outcome with the documents of the partition and with the dead letters.

    `elsewhere` returns whether an event is stored from another position. Letters of this partition
    are removed from `letters`.
    """
    waiting = _Documents(partition, documents, tally)
    for record, outcome in outcomes:
        tally.records += 1
        place = partition.place(record.offset)
        found = waiting.take(record.offset)
        _compare_record(place, record, outcome, found, letters, elsewhere, tally)
    waiting.finish()
    for place in sorted(letters):
        if place == partition.place(place.offset):
            if place.offset < partition.start:
                tally.trimmed += 1
            elif place.offset < partition.end and all(one.skipped for one in letters[place]):
                tally.dead_letters += 1
            elif place.offset < partition.end:
                tally.differs(f"{place}: a dead letter of a record that was not one")
            else:
                continue
            del letters[place]


class _Documents:
    """The stored documents of a partition, read by offset."""

    def __init__(self, partition: Partition, documents: Iterable[Document], tally: Tally) -> None:
        self._partition = partition
        self._documents: Iterator[Document] = iter(documents)
        self._next = next(self._documents, None)
        self._tally = tally

    def take(self, offset: int) -> Document | None:
        """The document of this offset. Documents before it have no record."""
        self._drop_before(offset)
        if self._next is None or self._next["kafka"]["offset"] != offset:
            return None
        found, self._next = self._next, next(self._documents, None)
        return found

    def finish(self) -> None:
        """Remaining documents before the end have no record; those after it are newer."""
        self._drop_before(self._partition.end)

    def _drop_before(self, offset: int) -> None:
        while self._next is not None and self._next["kafka"]["offset"] < offset:
            found = self._next["kafka"]["offset"]
            if found < self._partition.start:
                self._tally.trimmed += 1
            else:
                place = self._partition.place(found)
                self._tally.differs(f"{place}: {self._next['_id']} is stored, but comes from none")
            self._next = next(self._documents, None)


def _compare_record(
    place: RecordPosition,
    record: Record,
    outcome: Outcome,
    found: Document | None,
    letters: Letters,
    elsewhere: Callable[[str], bool],
    tally: Tally,
) -> None:
    copies = letters.pop(place, [])
    if found is not None and all(copy.skipped or copy.conflict for copy in copies):
        tally.repeated_letters += len(copies)
        copies = []
    if found is not None and copies:
        tally.differs(f"{place}: {found['_id']} is stored, and is a dead letter too")
    elif copies:
        conflict = all(copy.conflict for copy in copies)
        if isinstance(outcome, Repeated) != conflict:
            what = "was stored before" if isinstance(outcome, Repeated) else "conflicts with none"
            name = getattr(outcome, "event_id", "it")
            tally.differs(f"{place}: {name} {what}, and is a dead letter")
            return
        if conflict:
            tally.conflicts += 1
        else:
            tally.dead_letters += 1
        tally.repeated_letters += len(copies) - 1
        if not all(copy.is_of(record) for copy in copies):
            tally.differs(f"{place}: the dead letter's bytes are not those of the record")
    elif isinstance(outcome, DeadLetter):
        what = "is stored" if found is not None else "is lost"
        tally.differs(f"{place}: a bad record ({outcome.reason}) {what}, not a dead letter")
    elif isinstance(outcome, Repeated):
        tally.repeated += 1
        if found is not None:
            tally.differs(f"{place}: {outcome.event_id} is stored although it came before")
        elif outcome.is_new:
            tally.differs(
                f"{place}: {outcome.event_id} came with other content before; this is lost"
            )
    elif found is None:
        if elsewhere(outcome.document["_id"]):
            tally.repeated += 1
        else:
            tally.differs(f"{place}: {outcome.document['_id']} is lost")
    else:
        tally.stored += 1
        _compare_document(place, outcome, found, tally)


def _compare_document(
    place: RecordPosition, outcome: Stored, found: Document, tally: Tally
) -> None:
    expected = outcome.document
    if expected == found:
        return
    names = sorted(
        name
        for name in expected.keys() | found.keys()
        if (name in expected, expected.get(name)) != (name in found, found.get(name))
    )
    details = ", ".join(f"{n} is {found.get(n)!r}, not {expected.get(n)!r}" for n in names)
    tally.differs(f"{place}: {expected['_id']}: {details}")
