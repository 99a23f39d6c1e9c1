"""An event whose id is stored with other content is a dead letter, and never lost in silence."""

from datetime import timedelta, timezone
from typing import Any

import msgspec
import pytest
from services.tests.feeds.events import ONE_OF_EACH, START, stock, tokens
from services.tests.processor.process import Processor
from services.tests.processor.scenario import FIRST, metric, produce, start
from services.tests.processor.world import World

from millrace.clients.letter_headers import CONFLICT, PREFIX
from millrace.feeds.metals import METALS
from millrace.feeds.stocks import STOCKS
from millrace.feeds.token_usage import TOKEN_USAGE
from millrace.processor.batch import Inserted
from millrace.processor.conflicts import between_documents, between_events, said
from millrace.processor.decode import Taken
from millrace.verify.data.oracle import Repeated, Stored


def turn(processor: Processor, turns: int = 10) -> None:
    for _ in range(turns):
        processor.step()


def reasons(world: World) -> list[tuple[bytes | None, bytes | None]]:
    said = (dict(letter.headers) for letter in world.letters)
    return [(one[f"{PREFIX}stage"], one[f"{PREFIX}exception.message"]) for one in said]


@pytest.mark.parametrize("turns", [0, 1, 10], ids=["one batch", "in flight", "stored"])
def test_other_content_is_a_dead_letter(world: World, turns: int) -> None:
    processor = start(world, processor_max_in_flight=3)
    processor.jobs.threads = 2 if turns == 10 else 0
    event_id = produce(world, 1, 100.0)
    turn(processor, turns)
    produce(world, 1, 250.0)
    produce(world, 1, 100.0)
    turn(processor, 1)
    processor.jobs.threads = 2
    turn(processor)
    assert world.documents[event_id]["price"]["value"] == 100.0
    ((stage, told),) = reasons(world)
    assert stage == CONFLICT.encode()
    assert (told or b"").startswith(b"an event of the same id came before, with another ")
    assert b"price" in (told or b"")
    (letter,) = world.letters
    assert letter.value == world.log[FIRST][1].value
    assert world.committed[FIRST] == 3
    names = ("documents_stored", "duplicates", "dead_letters", "conflicts", "records_consumed")
    assert [metric(processor, f"{name}_total") for name in names] == [1, 1, 1, 1, 3]


def test_corrections_open_no_breaker(world: World) -> None:
    processor = start(world, processor_breaker_records=10, processor_breaker_share=0.5)
    produce(world, 1, 100.0)
    for price in range(30):
        produce(world, 1, 200.0 + price)
        turn(processor, 3)
    turn(processor)
    assert world.committed[FIRST] == 31
    assert len(world.letters) == 30


def test_what_is_stored_from_another_partition_is_compared_too(world: World) -> None:
    processor = start(world)
    produce(world, 1, 100.0)
    turn(processor)
    produce(world, 1, 250.0, partition=1)
    turn(processor)
    assert [stage for stage, _ in reasons(world)] == [CONFLICT.encode()]


def test_what_is_read_again_after_a_crash_is_no_conflict(world: World) -> None:
    produce(world, 1, 100.0)
    turn(start(world))
    world.committed[FIRST] = 0
    world.processors.clear()
    turn(start(world))
    assert not world.letters


def document(**fields: Any) -> dict[str, Any]:
    plain = {
        "_id": "a",
        "kafka": {"offset": 1},
        "meta": {},
        "timestamp_utc": START,
        "produced_at": START,
        "schema_version": 1,
        "price": 1.0,
    }
    return plain | fields


@pytest.mark.parametrize(
    "again",
    [
        document(produced_at=START + timedelta(hours=1), kafka={"offset": 7}, meta={"change": 1}),
        document(schema_version=2, new=1),
        document(timestamp_utc=START - timedelta(hours=1), claimed_at=START),
    ],
)
def test_what_an_event_does_not_say_of_its_observation_is_no_conflict(again: Any) -> None:
    assert between_documents(document(), again) is None


def test_a_conflict_names_the_fields() -> None:
    found = between_documents(document(), document(price=2.0, timestamp_utc=START.replace(day=9)))
    assert str(found) == "an event of the same id came before, with another price, timestamp_utc"


def test_events_are_compared_as_their_documents_are() -> None:
    first, second = stock(1.0), stock(1.0, produced_at=START + timedelta(days=1))
    assert between_events(STOCKS, Taken(first, None), Taken(second, None)) is None
    moved = msgspec.structs.replace(first, observed_at=START - timedelta(hours=1))
    assert between_events(STOCKS, Taken(first, None), Taken(moved, first.observed_at)) is None
    assert between_events(STOCKS, Taken(first, None), Taken(moved, None)) is not None


def test_the_unit_of_a_metal_is_of_what_it_says() -> None:
    first = ONE_OF_EACH["metals"]
    second = msgspec.structs.replace(first, unit="gram")
    taken = Taken(first, None), Taken(second, None)
    documents = [METALS.document(e, {"change_pct_24h": None, "unit": e.unit}) for e, _ in taken]
    for found in (between_events(METALS, *taken), between_documents(documents[0], documents[1])):
        assert str(found) == "an event of the same id came before, with another unit"
    # As older releases stored them.
    del documents[0]["meta"]["unit"]
    assert between_documents(documents[0], documents[1]) is None


def test_what_an_event_says_of_its_time_is_written_in_one_way() -> None:
    """Verification tells by the text whether what comes again says something new."""
    elsewhere = stock(1.0).observed_at.astimezone(timezone(timedelta(hours=-5)))
    for taken in (
        Taken(msgspec.structs.replace(stock(1.0), observed_at=elsewhere), None),
        Taken(stock(1.0, minutes=1), elsewhere),
    ):
        assert repr(said(STOCKS, taken)["observed_at"]) == repr(START)


def test_what_somebody_removes_while_it_is_compared_hides_no_other(world: World) -> None:
    processor = start(world)
    for day in (1, 2):
        produce(world, day, 100.0)
    turn(processor)
    stored = world.stored

    def remove_one(collection: str, ids: Any) -> Any:
        found = stored(collection, ids)
        return {n: d for n, d in found.items() if d["kafka"]["offset"] != 0}

    world.stored = remove_one  # type: ignore[method-assign]
    for day in (1, 2):
        produce(world, day, 250.0)
    turn(processor)
    (letter,) = world.letters
    assert letter.value == world.log[FIRST][3].value
    assert metric(processor, "duplicates_total") == 1


def test_what_conflicts_with_an_event_that_mongodb_rejects_says_so_too(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def reject(_: str, documents: Any) -> Inserted:
        return Inserted(0, rejected=dict.fromkeys(range(len(documents)), "too strange"))

    processor = start(world)
    monkeypatch.setattr(world, "insert", reject)
    for price in (100.0, 250.0):
        produce(world, 1, price)
    turn(processor)
    conflict = b"an event of the same id came before, with another high, low, open, price"
    assert reasons(world) == [(b"TASK_PUT", b"too strange"), (CONFLICT.encode(), conflict)]


@pytest.mark.parametrize("turns", [0, 1, 10], ids=["one batch", "in flight", "stored"])
def test_an_answer_that_is_told_again_later_is_no_conflict(turns: int) -> None:
    """By then others began, so that it is said to have ended later. Verification agrees."""
    world = World(1, TOKEN_USAGE)
    processor = start(world, processor_max_in_flight=3)
    processor.jobs.threads = 2 if turns == 10 else 0
    first = tokens(5, seconds=1)
    later = first.observed_at + timedelta(seconds=3)
    again = msgspec.structs.replace(first, observed_at=later)
    more = msgspec.structs.replace(again, prompt_tokens=6)
    world.produce(0, msgspec.json.encode(first))
    turn(processor, turns)
    for event in (again, more):
        world.produce(0, msgspec.json.encode(event))
    turn(processor, 1)
    assert not processor.standing.places(), "nobody can say what its conflict is"
    processor.jobs.threads = 2
    turn(processor)
    assert world.documents[first.event_id]["timestamp_utc"] == first.observed_at
    ((stage, told),) = reasons(world)
    assert stage == CONFLICT.encode()
    assert told == b"an event of the same id came before, with another prompt_tokens"
    _, *repeated = world.expected(0.2)
    assert [one.is_new for one in repeated if isinstance(one, Repeated)] == [False, True]


def test_an_answer_that_is_told_again_later_counts_for_no_rate_again() -> None:
    """Also where it is so long ago that no window knows its id any more."""
    world = World(1, TOKEN_USAGE)
    first, *others = (tokens(600, seconds=seconds) for seconds in (1, 300, 305))
    again = msgspec.structs.replace(first, observed_at=first.observed_at + timedelta(seconds=300))
    for event in (first, others[0]):
        world.produce(0, msgspec.json.encode(event))
    turn(start(world))
    world.processors.clear()
    processor = start(world)
    for event in (again, others[1]):
        world.produce(0, msgspec.json.encode(event))
        turn(processor)
    assert len(world.documents) == 3
    for one in world.expected(0.2):
        if isinstance(one, Stored):
            assert world.documents[one.document["_id"]]["meta"] == one.document["meta"]
    assert not world.letters
