"""The comparison of a log with what was stored of it: it finds every kind of damage."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from services.tests.feeds.events import stock
from services.tests.verify.remembered import Remembered

from millrace.feeds.stocks import STOCKS, StockPrice
from millrace.verify.data.compare import (
    SHOWN,
    Letter,
    Letters,
    Partition,
    RecordPosition,
    Tally,
    compare,
)
from millrace.verify.data.oracle import Record, Stored, outcomes

THRESHOLD = 0.05


def event(number: int, symbol: str = "A") -> StockPrice:
    return stock(
        100.0 + number, minutes=number, symbol=symbol, event_id=f"stocks:test:{symbol}:{number}"
    )


def record(offset: int, content: StockPrice | bytes) -> Record:
    value = content if isinstance(content, bytes) else msgspec.json.encode(content)
    return Record(0, offset, b"key", value)


def good(offset: int, number: int | None = None, symbol: str = "A") -> Record:
    return record(offset, event(offset if number is None else number, symbol))


def bad(offset: int) -> Record:
    return record(offset, b"{nope")


class World:
    """A log and what a faultless processor makes of it, to be damaged."""

    def __init__(self, *records: Record, start: int = 0, past: Sequence[Any] = ()) -> None:
        self.records = list(records)
        end = records[-1].offset + 1 if records else start
        self.partition = Partition("stock-data", 0, start, end)
        self.past = Remembered(past)
        self.documents: list[dict[str, Any]] = list(past)
        self.letters: Letters = {}
        self.elsewhere: set[str] = set()
        made = outcomes(STOCKS, self.records, THRESHOLD, self.past)
        for one, outcome in zip(self.records, made, strict=True):
            if isinstance(outcome, Stored):
                self.documents.append(outcome.document)
            elif one.value == b"{nope":
                self.letters[self.place(one.offset)] = [Letter(one.key, one.value)]

    def place(self, offset: int) -> RecordPosition:
        return self.partition.place(offset)

    def compare(self) -> Tally:
        tally = Tally()
        found = outcomes(STOCKS, self.records, THRESHOLD, self.past)
        compare(
            self.partition,
            zip(self.records, found, strict=True),
            self.documents,
            self.letters,
            lambda event_id: event_id in self.elsewhere,
            tally,
        )
        return tally


# Numbers name events: equal numbers are the same event again. None is a bad record.
logs = st.lists(st.none() | st.integers(0, 5), min_size=1, max_size=12)


def world_of(log: Sequence[int | None], start: int = 0) -> World:
    return World(
        *(
            bad(start + place) if number is None else good(start + place, number)
            for place, number in enumerate(log)
        ),
        start=start,
    )


@given(log=logs)
def test_what_a_faultless_processor_stores_is_equal(log: list[int | None]) -> None:
    tally = world_of(log).compare()
    assert tally.differences == 0
    assert tally.records == len(log) == tally.stored + tally.repeated + tally.dead_letters
    assert tally.stored == len({number for number in log if number is not None})


@given(log=logs, data=st.data())
def test_every_single_damage_is_found(log: list[int | None], data: st.DataObject) -> None:
    world = world_of(log)
    damages = []
    if world.documents:
        damages += ["lose", "change", "add a field", "store twice"]
    if world.letters:
        damages += ["lose letter", "change letter", "store bad"]
    damage = data.draw(st.sampled_from(damages))
    index = data.draw(st.integers(0, max(0, len(world.documents) - 1)))
    place = data.draw(st.sampled_from(sorted(world.letters))) if world.letters else None
    if damage == "lose":
        del world.documents[index]
    elif damage == "change":
        world.documents[index]["price"]["value"] += 1e-9
    elif damage == "add a field":
        world.documents[index]["more"] = None
    elif damage == "store twice":
        copy = {**world.documents[index], "_id": "other"}
        world.documents.insert(index + 1, copy)
    elif place is not None and damage == "lose letter":
        del world.letters[place]
    elif place is not None and damage == "change letter":
        world.letters[place] = [Letter(b"key", b"{nope ")]
    elif place is not None:
        del world.letters[place]
        made = {"_id": "bad", "kafka": {"partition": 0, "offset": place.offset}}
        world.documents.append(made)
        world.documents.sort(key=lambda d: d["kafka"]["offset"])
    assert world.compare().differences >= 1


@pytest.mark.parametrize(
    ("offset", "text"),
    [
        (1, "a dead letter of a record that was not one"),
        (0, "is stored, and is a dead letter too"),
    ],
)
def test_a_dead_letter_without_a_bad_record_is_a_difference(offset: int, text: str) -> None:
    world = World(good(0), good(2))
    world.letters[world.place(offset)] = [Letter(b"key", b"x")]
    tally = world.compare()
    assert tally.differences == 1
    assert text in tally.examples[0]


def test_a_good_record_that_could_not_be_stored_may_be_a_dead_letter() -> None:
    world = World(good(0), good(1))
    lost = world.documents.pop(0)
    one = world.records[0]
    world.letters[world.place(0)] = [Letter(one.key, one.value)]
    tally = world.compare()
    assert tally.dead_letters == 1
    assert tally.differences == 0
    assert lost["_id"] == "stocks:test:A:0"


def test_a_dead_letter_that_was_sent_again_after_a_crash_is_counted() -> None:
    world = World(bad(0))
    world.letters[world.place(0)] *= 2
    tally = world.compare()
    assert (tally.dead_letters, tally.repeated_letters, tally.differences) == (1, 1, 0)


def test_an_event_that_another_partition_has_stored_is_a_repetition() -> None:
    world = World(good(0))
    world.elsewhere = {world.documents.pop()["_id"]}
    tally = world.compare()
    assert (tally.repeated, tally.differences) == (1, 0)


def test_what_is_newer_than_the_end_is_left_alone() -> None:
    world = World(good(0))
    world.documents.append({"_id": "newer", "kafka": {"partition": 0, "offset": 1}})
    newer, other = world.place(1), RecordPosition("metal-prices", 0, 0)
    world.letters |= {newer: [Letter(None, None)], other: [Letter(None, None)]}
    assert world.compare().differences == 0
    assert world.letters.keys() == {newer, other}


@given(log=logs, kept=st.integers(0, 12))
def test_what_retention_has_removed_is_counted_and_still_explains_what_follows(
    log: list[int | None], kept: int
) -> None:
    whole = world_of(log)
    start = min(kept, len(log))
    past = [d for d in whole.documents if d["kafka"]["offset"] < start]
    trimmed = World(*whole.records[start:], start=start, past=past)
    # Not what the oracle says of the rest alone, but what was stored when all was there.
    trimmed.documents = whole.documents
    trimmed.letters = whole.letters
    gone = len(past) + sum(place.offset < start for place in whole.letters)
    trimmed.partition = Partition("stock-data", 0, start, len(log))
    tally = trimmed.compare()
    assert tally.differences == 0, tally.examples
    assert tally.trimmed == gone


def test_of_many_differences_some_are_told_and_all_are_counted() -> None:
    world = World(*(good(n) for n in range(SHOWN + 5)))
    world.documents.clear()
    tally = world.compare()
    assert tally.differences == SHOWN + 5
    assert len(tally.examples) == SHOWN
    assert tally.examples[0] == "stock-data[0]@0: stocks:test:A:0 is lost"


def test_a_difference_says_what_is_there_and_what_should_be() -> None:
    world = World(good(0))
    world.documents[0]["volume"] = 7
    assert world.compare().examples == [
        "stock-data[0]@0: stocks:test:A:0: volume is 7, not 100",
    ]


def test_a_letter_that_says_that_it_is_a_part_is_compared_as_far_as_it_goes() -> None:
    record = Record(0, 0, b"key", b"value")
    assert Letter(b"key", b"val", partial=True).is_of(record)
    assert not Letter(b"key", b"val").is_of(record)
    assert not Letter(b"key", b"vax", partial=True).is_of(record)
    assert not Letter(b"other", b"val", partial=True).is_of(record)


def test_what_an_operator_skipped_is_a_dead_letter_and_in_no_derived_value() -> None:
    whole = [good(0), good(1), good(2)]
    world = World(*whole)
    skipping = [*outcomes(STOCKS, whole, THRESHOLD, skipped={(0, 1)})]
    world.documents = [o.document for o in skipping if isinstance(o, Stored)]
    place = world.partition.place(1)
    letters = {
        place: [Letter(whole[1].key, whole[1].value, skipped=True)],
        world.partition.place(0): [Letter(None, b"", partial=True, skipped=True)],
    }
    tally = Tally()
    compare(
        world.partition,
        zip(whole, skipping, strict=True),
        world.documents,
        letters,
        lambda _: False,
        tally,
    )
    assert (tally.differences, tally.stored, tally.dead_letters) == (0, 2, 1)
    assert tally.repeated_letters == 1, "it was stored when it was read again"


def conflicting() -> World:
    """A log in which an event came again with other content, which is a dead letter."""
    changed = msgspec.structs.replace(event(0), price=99.0)
    world = World(good(0), record(1, changed), record(2, changed), good(3))
    world.letters[world.place(1)] = [Letter(b"key", world.records[1].value, conflict=True)]
    return world


def test_an_event_that_came_with_other_content_is_counted() -> None:
    tally = conflicting().compare()
    assert tally.examples == []
    assert (tally.stored, tally.conflicts, tally.repeated) == (2, 1, 1)


def test_an_event_that_came_with_other_content_and_is_no_dead_letter_is_lost() -> None:
    world = conflicting()
    world.letters.clear()
    (found,) = world.compare().examples
    assert found == "stock-data[0]@1: stocks:test:A:0 came with other content before; this is lost"


def test_a_conflict_with_nothing_is_a_difference() -> None:
    world = World(good(0))
    world.letters[world.place(0)] = [Letter(b"key", world.records[0].value, conflict=True)]
    world.documents.clear()
    (found,) = world.compare().examples
    assert found == "stock-data[0]@0: it conflicts with none, and is a dead letter"
