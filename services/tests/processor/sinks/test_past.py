"""The past of a series in MongoDB: what is asked and what it means; molecule/mongodb measures."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pymongo.collection import Collection as MongoCollection
from pymongo.errors import AutoReconnect, DuplicateKeyError, ExecutionTimeout
from services.tests.mongo import aggregated, in_order, matches, shown
from services.tests.stands import stands_for

from millrace.clients import topic_ids
from millrace.clients.topic_ids import COLLECTION
from millrace.feeds import FEEDS
from millrace.feeds.base import BY_CLAIM, BY_SERIES, TIME_FIELD, Series
from millrace.processor.errors import Transient
from millrace.processor.pace import Interrupted, Pace
from millrace.processor.points import Moment
from millrace.processor.ports import Below, LogPosition
from millrace.processor.sinks import past
from millrace.processor.sinks.mongodb import MongoStore

START = datetime(2026, 1, 2, tzinfo=UTC)
FEED = FEEDS["stocks"]
INDEX = [*BY_SERIES.keys]
LATER = "later"
"""The log of a topic that was made again."""
LONGEST = 30_000
"""After so many milliseconds the socket loses patience."""


def worth(offset: int) -> tuple[float, str]:
    """What is kept of the price with that offset."""
    return float(offset), "USD"


def price(
    minute: int, offset: int, symbol: str = "IBM", *, source: str = "test", partition: int = 0
) -> dict[str, Any]:
    return {
        "_id": f"{source}:{symbol}:{minute}:{partition}:{offset}",
        "source": source,
        "symbol": symbol,
        TIME_FIELD: START + timedelta(minutes=minute),
        "price": {"value": float(offset), "currency": "USD"},
        "kafka": {"partition": partition, "offset": offset},
    }


def index_for(condition: dict[str, Any]) -> list[tuple[str, int]]:
    """The index that a question of a series has: a log that has a name has its own."""
    return [("kafka.log", 1), *INDEX] if "kafka.log" in condition else INDEX


@stands_for(MongoCollection)
class Collection:
    """Finds what a condition says. A question for many at once fails if it is told to."""

    def __init__(self, *documents: dict[str, Any], error: Exception | None = None) -> None:
        self.documents = documents
        self.error = error
        self.asked: list[str] = []
        self.read: list[dict[str, Any]] = []

    def aggregate(
        self,
        pipeline: list[dict[str, Any]],
        *,
        hint: Any,
        maxTimeMS: int,  # noqa: N803
    ) -> Any:
        self.asked.append("aggregate")
        assert [*hint.items()] == index_for(pipeline[0]["$match"])
        assert [*pipeline[1]["$sort"].items()] == [*hint.items()], "it would sort all of them"
        assert 0 < maxTimeMS < LONGEST
        if self.error:
            raise self.error
        return aggregated(self.documents, pipeline)

    def find(
        self,
        condition: Any,
        fields: Any,
        *,
        hint: Any,
        sort: Any = (),
        batch_size: int = 0,
        max_time_ms: int = 0,
    ) -> Any:
        self.asked.append("find")
        if [*condition] == ["_id"]:
            assert hint == "_id_"
            assert 0 < max_time_ms < LONGEST
        else:
            # However many there are: each page of them takes no time.
            assert hint == sort == index_for(condition)
            assert batch_size == past.PAGE
        found = (one for one in self.documents if matches(one, condition))
        for one in in_order(found, sort):
            self.read.append(shown(one, fields))
            yield self.read[-1]

    def find_one(self, condition: Any, fields: Any, *, hint: Any, max_time_ms: int) -> Any:
        self.asked.append("find_one")
        assert hint == (index_for(condition) if "source" in condition else [*BY_CLAIM.keys])
        assert 0 < max_time_ms < LONGEST
        found = (one for one in self.documents if matches(one, condition))
        return next((shown(one, fields) for one in found), None)


class Beats(Pace):
    def __init__(self) -> None:
        self.count = self.turns = 0

    def beat(self) -> None:
        self.count += 1

    def turn(self) -> None:
        self.turns += 1


def ask(
    collection: Any, symbols: list[str], below: int, moment: Moment | None = None
) -> tuple[dict[str, Any], int]:
    """The answers, and how often the heart beat."""
    client: Any = {"millrace": {FEED.collection: collection}}
    beats = Beats()
    store = MongoStore(client, "millrace")
    found = store.newest_of(FEED, "test", symbols, moment, Below(0, below), beats)
    return dict(found), beats.count


def test_who_is_not_found_has_nothing() -> None:
    found, _ = ask(Collection(price(3, 7), price(2, 8, "GOOG")), ["IBM", "GOOG", "AAPL"], 9)
    assert found == {
        "IBM": (START + timedelta(minutes=3), worth(7)),
        "GOOG": (START + timedelta(minutes=2), worth(8)),
        "AAPL": None,
    }


OTHERS = [
    price(4, 4, source="another"),
    price(4, 5, partition=1),
    price(4, 6, "GOOG"),
    price(4, 8),
]
"""Of another source, from another partition, of another symbol, and of later in the log."""


@pytest.mark.parametrize("error", [None, ExecutionTimeout("too long")])
def test_the_past_of_a_series_is_of_its_source_and_its_partition(error: Exception | None) -> None:
    own = (START + timedelta(minutes=3), worth(7))
    assert ask(Collection(price(3, 7), *OTHERS, error=error), ["IBM"], 8)[0] == {"IBM": own}


def test_a_window_is_of_its_source_and_its_partition() -> None:
    client: Any = {"millrace": {FEED.collection: Collection(price(3, 7), *OTHERS)}}
    newest, series = START + timedelta(minutes=4), Series("test", "IBM")
    store = MongoStore(client, "millrace")
    found = store.window(FEED, series, newest, Below(0, 8), Beats())
    assert [value for _, value in found] == [worth(7)]


def test_before_the_first_record_there_is_nothing_to_ask_for() -> None:
    collection = Collection(price(3, 7))
    assert ask(collection, ["IBM"], 0)[0] == {"IBM": None}
    assert collection.asked == []


def test_when_it_takes_too_long_it_is_read_key_by_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(past, "PAGE", 10)
    documents = [price(minute, minute) for minute in range(100)]
    collection = Collection(*documents, error=ExecutionTimeout("too long"))
    found, beats = ask(collection, ["IBM"], 50)
    assert found == {"IBM": (START + timedelta(minutes=49), worth(49))}
    assert beats >= 5
    # All of that is in the index: no document is fetched for it.
    assert {name for one in collection.read for name in one} <= {n for n, _ in INDEX} | {"kafka"}
    assert {name for one in collection.read for name in one["kafka"]} == {"offset"}
    before = Moment(START + timedelta(minutes=20), inclusive=False)
    assert ask(collection, ["IBM"], 50, before)[0] == {
        "IBM": (START + timedelta(minutes=19), worth(19))
    }
    assert ask(Collection(price(1, 9), error=collection.error), ["IBM"], 9)[0] == {"IBM": None}


def test_what_is_deleted_while_it_is_read_so_is_not_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Collection, "find_one", lambda *_, **__: None)
    assert ask(Collection(price(1, 1), error=ExecutionTimeout("too long")), ["IBM"], 9)[0] == {
        "IBM": None
    }


def test_between_two_symbols_that_are_read_so_there_may_be_an_end() -> None:
    collection: Any = Collection(price(1, 1), error=ExecutionTimeout("too long"))
    client: Any = {"millrace": {FEED.collection: collection}}

    class Ending(Beats):
        def turn(self) -> None:
            raise Interrupted

    found = MongoStore(client, "millrace").newest_of(
        FEED, "test", ["IBM", "GOOG"], None, Below(0, 9), Ending()
    )
    assert next(found)[0] == "IBM"
    with pytest.raises(Interrupted):
        next(found)


def test_whether_times_were_not_believed_and_where_events_are() -> None:
    def store(*documents: dict[str, Any]) -> MongoStore:
        client: Any = {"millrace": {FEED.collection: Collection(*documents)}}
        return MongoStore(client, "millrace")

    plain = price(1, 5)
    claimed = price(2, 6) | {"claimed_at": START}
    assert not store(plain).has_claims(FEED)
    assert store(plain, claimed).has_claims(FEED)
    ids = [plain["_id"], claimed["_id"], "another"]
    claimed["kafka"]["log"] = "later"
    assert store(plain, claimed).places(FEED, ids) == {
        plain["_id"]: LogPosition("", 0, 5),
        claimed["_id"]: LogPosition("later", 0, 6),
    }


def test_whether_a_symbol_has_events_from_another_partition() -> None:
    client: Any = {"millrace": {FEED.collection: Collection(price(1, 5), price(1, 6, "GOOG"))}}
    store = MongoStore(client, "millrace")
    assert store.is_elsewhere(FEED, "test", ["AAPL", "IBM"], 1)
    assert not store.is_elsewhere(FEED, "test", ["AAPL", "IBM"], 0)
    assert not store.is_elsewhere(FEED, "test", ["AAPL"], 1)


def test_an_absent_server_is_a_transient_error() -> None:
    with pytest.raises(Transient, match="reset"):
        ask(Collection(error=AutoReconnect("reset")), ["IBM"], 9)


def test_a_window_comes_in_the_order_of_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(past, "PAGE", 2)
    client: Any = {"millrace": {FEED.collection: Collection(price(1, 5), price(3, 4), price(2, 6))}}
    beats = Beats()
    newest = START + timedelta(minutes=3)
    store = MongoStore(client, "millrace")
    found = store.window(FEED, Series("test", "IBM"), newest, Below(0, 9), beats)
    assert [value for _, value in found] == [worth(4), worth(5), worth(6)]
    assert beats.count == 1


def test_a_window_ends_with_its_newest_and_is_as_long_as_the_feed_says() -> None:
    minutes = int(FEED.window / timedelta(minutes=1))
    inside, outside = (0, minutes, 5), (-1, minutes + 1)
    documents = [price(minute, 10 + minute) for minute in (*inside, *outside)]
    client: Any = {"millrace": {FEED.collection: Collection(*documents)}}
    newest = START + timedelta(minutes=minutes)
    series = Series("test", "IBM")
    store = MongoStore(client, "millrace")
    found = store.window(FEED, series, newest, Below(0, 10**6), Beats())
    assert sorted(time for time, _ in found) == [
        START + timedelta(minutes=minute) for minute in sorted(inside)
    ]


@pytest.mark.parametrize("error", [None, ExecutionTimeout("too long")])
@pytest.mark.parametrize(("inclusive", "minute"), [(True, 3), (False, 2)])
def test_the_past_ends_before_a_moment_or_with_it(
    inclusive: bool, minute: int, error: Exception | None
) -> None:
    documents = [price(number, number) for number in range(1, 6)]
    moment = Moment(START + timedelta(minutes=3), inclusive=inclusive)
    found, _ = ask(Collection(*documents, error=error), ["IBM"], 9, moment)
    assert found == {"IBM": (START + timedelta(minutes=minute), worth(minute))}


@pytest.mark.parametrize("error", [None, ExecutionTimeout("too much")])
def test_of_a_log_that_has_a_name_nothing_else_is_seen(error: Exception | None) -> None:
    own, gone, other = price(3, 7), price(5, 7), price(6, 7)
    own["kafka"]["log"], other["kafka"]["log"] = LATER, "another"
    client: Any = {"millrace": {FEED.collection: Collection(own, gone, other, error=error)}}
    store, below = MongoStore(client, "millrace"), Below(0, 9, LATER)
    found = dict(store.newest_of(FEED, "test", ["IBM"], None, below, Beats()))
    assert found == {"IBM": (START + timedelta(minutes=3), worth(7))}
    newest = START + timedelta(minutes=6)
    window = store.window(FEED, Series("test", "IBM"), newest, below, Beats())
    assert [*window] == [found["IBM"]]


@stands_for(MongoCollection)
class Logs:
    """The collection of topics' first logs, to which another processor may be quicker."""

    def __init__(self) -> None:
        self.first: dict[str, str] = {}
        self.quicker: str | None = None
        self.asked = 0

    def find_one(self, condition: Any, *, max_time_ms: int) -> Any:
        assert max_time_ms
        self.asked += 1
        found = self.first.get(condition["_id"])
        return found and {"_id": condition["_id"], "log": found}

    def insert_one(self, document: dict[str, str]) -> None:
        if self.quicker:
            self.first[document["_id"]] = self.quicker
            raise DuplicateKeyError("E11000")
        self.first[document["_id"]] = document["log"]


def test_the_first_log_of_a_topic_has_no_name_and_a_later_one_that_of_its_id() -> None:
    collection = Logs()
    database: Any = {COLLECTION: collection}
    store = MongoStore({"millrace": database}, "millrace")  # type: ignore[arg-type]
    assert topic_ids.name(database, "t", "a") == ""
    assert store.log_name("t", None) == ""
    assert collection.first == {}, "who only reads notes nothing"
    collection.asked = 0
    assert [store.log_name("t", log_id) for log_id in ("a", "a", "b", "a")] == ["", "", "b", ""]
    assert collection.asked == 4, "once each"
    assert [topic_ids.name(database, "t", log_id) for log_id in ("a", "b", None)] == ["", "b", ""]
    assert store.log_name("another", "b") == ""
    collection.quicker = "x"
    assert store.log_name("third", "y") == "y"
