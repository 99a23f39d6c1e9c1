"""Compares rows of the archive with the log's records and with documents. No I/O."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import bson
import pyarrow as pa
import pyarrow.compute as pc

from millrace.archive.columns import EVENT_ID, OFFSET
from millrace.archive.events import Archived
from millrace.archive.ranges import Span
from millrace.clients.mongodb import AS_STORED
from millrace.feeds.base import CLAIMED_FIELD, Feed
from millrace.processor import conflicts

SHOWN = 20
"""Number of differences of a feed that are named."""
LACKS, UNSTORED, OTHER, BASELESS, TWICE = (
    "missing in the archive",
    "missing in MongoDB",
    "other content",
    "a row for no record",
    "twice in the archive",
)
Document = Mapping[str, Any]


@dataclass
class Tally:
    """What of a feed was compared, and the differences."""

    rows: int = 0
    """Rows of the archive; each was compared with MongoDB."""
    records: int = 0
    """Valid records of those that Kafka still has, which were compared with their rows."""
    bad_records: int = 0
    documents: int = 0
    """Documents that were compared with the row of their record."""
    repeated: int = 0
    """Rows whose event is stored from another record."""
    conflicts: int = 0
    """Rows whose event came before with other content: dead letters."""
    dead_letters: int = 0
    """Rows of records that the processor has not stored, but made dead letters."""
    older: int = 0
    """Documents of records that are older than the archive. They are not compared."""
    waiting: int = 0
    """Offsets that the archiver has not written yet. They are not compared."""
    differences: dict[str, int] = field(default_factory=dict)
    """Their number, by what they are."""
    examples: list[str] = field(default_factory=list)

    def differs(self, what: str, text: str) -> None:
        """Count a difference; name it if there are not too many."""
        self.differences[what] = self.differences.get(what, 0) + 1
        if len(self.examples) < SHOWN:
            self.examples.append(f"{text}: {what}")

    @property
    def problem(self) -> str | None:
        """Why the comparison says nothing, or None."""
        if self.waiting and not (self.rows or self.differences):
            return f"nothing was compared: {self.waiting:,} offsets wait for the archiver"
        return None


def place(feed: Feed[Any], partition: int, offset: int, event_id: str | None = None) -> str:
    """The words for a record: its position in the topic, and its event."""
    return f"{feed.topic}[{partition}]@{offset}" + (f" {event_id}" if event_id else "")


def once(feed: Feed[Any], span: Span, rows: pa.Table, tally: Tally) -> pa.Table:
    """The rows of a span without those that have the offset of the one before."""
    if rows.num_rows < 2:
        return rows
    offsets = rows[OFFSET].combine_chunks()
    again = pc.equal(offsets[1:], offsets[:-1])
    if not pc.any(again).as_py():
        return rows
    repeated = pa.concat_arrays([pa.array([False]), again])
    twice = rows.filter(repeated)
    for offset, event_id in _places(twice):
        tally.differs(TWICE, place(feed, span.partition, offset, event_id))
    return rows.filter(pc.invert(repeated))


def with_records(
    feed: Feed[Any], span: Span, rows: pa.Table, records: pa.Table, tally: Tally
) -> set[int]:
    """Compare the rows of a span with those that its records make; both in their order.

    Returns the offsets that differ.
    """
    tally.records += records.num_rows
    if rows.equals(records):
        return set()
    differ = set()
    offsets, expected = rows[OFFSET], records[OFFSET]
    lacking = records.filter(_not_in(expected, offsets))
    baseless = rows.filter(_not_in(offsets, expected))
    for what, found in ((LACKS, lacking), (BASELESS, baseless)):
        for offset, event_id in _places(found):
            differ.add(offset)
            tally.differs(what, place(feed, span.partition, offset, event_id))
    mine = rows.filter(pc.is_in(offsets, expected.combine_chunks()))
    theirs = records.filter(pc.is_in(expected, offsets.combine_chunks()))
    for index, names in sorted(_unequal(mine, theirs).items()):
        [(offset, event_id)] = _places(mine.slice(index, 1))
        differ.add(offset)
        where = place(feed, span.partition, offset, event_id)
        tally.differs(OTHER, f"{where} in Kafka and in the archive ({', '.join(names)})")
    return differ


def _unequal(mine: pa.Table, theirs: pa.Table) -> dict[int, list[str]]:
    """The columns in which rows differ, by the rows' indexes."""
    found: dict[int, list[str]] = {}
    for name in mine.schema.names:
        own, other = mine[name], theirs[name]
        if own.equals(other):
            continue
        # Null is unequal to a value, and equal to null.
        same = pc.fill_null(pc.equal(own, other), False)
        same = pc.or_(same, pc.and_(pc.is_null(own), pc.is_null(other)))
        for index in pc.indices_nonzero(pc.invert(same)).to_pylist():
            found.setdefault(index, []).append(name)
    return found


def _not_in(these: Any, those: Any) -> Any:
    return pc.invert(pc.is_in(these, those.combine_chunks()))


def _places(rows: pa.Table) -> Iterator[tuple[int, str]]:
    return zip(rows[OFFSET].to_pylist(), rows[EVENT_ID].to_pylist(), strict=True)


def side_by_side(
    rows: Iterable[Archived], documents: Iterable[Document]
) -> Iterator[tuple[Archived | None, Document | None]]:
    """Rows and documents of a span by offset; both in their order. One of each may be alone."""
    rest = iter(documents)
    found = next(rest, None)
    for row in rows:
        while found is not None and found["kafka"]["offset"] < row.offset:
            yield None, found
            found = next(rest, None)
        if found is not None and found["kafka"]["offset"] == row.offset:
            yield row, found
            found = next(rest, None)
        else:
            yield row, None
    while found is not None:
        yield None, found
        found = next(rest, None)


class _Stored(dict[str, Any]):
    """Derived values, of which an older document may lack some."""

    def __missing__(self, name: str) -> None:
        return None


def document(feed: Feed[Any], row: Archived, found: Document) -> dict[str, Any]:
    """The document of a row's event, with the derived values of the one that was found."""
    event = row.event
    own = {n: getattr(event, n) for n in conflicts.SAID_IN_META if hasattr(event, n)}
    made = {"_id": event.event_id, **feed.document(event, _Stored({**found["meta"], **own}))}
    if row.claimed_at is not None:
        made[CLAIMED_FIELD] = row.claimed_at
    return dict(bson.decode(bson.encode(made), AS_STORED))


def differing(feed: Feed[Any], row: Archived, found: Document) -> list[str]:
    """The fields in which a document is not that of the row of its record.

    A field that only one of them has is from another release.
    """
    made = document(feed, row, found)
    names = {
        name for name in made.keys() & found.keys() - conflicts.DERIVED if made[name] != found[name]
    }
    if made.get(CLAIMED_FIELD) != found.get(CLAIMED_FIELD):
        names.add(CLAIMED_FIELD)
    meta = made["meta"]
    names |= {n for n in conflicts.SAID_IN_META & meta.keys() if meta[n] != found["meta"].get(n)}
    return sorted(names)


def contradicts(feed: Feed[Any], row: Archived, found: Document) -> bool:
    """Whether a row says something else than the document of its event, from another record."""
    made = document(feed, row, found)
    at_any_time = feed.is_one_at_any_time
    return conflicts.between_documents(found, made, at_any_time=at_any_time) is not None
