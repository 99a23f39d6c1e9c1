"""`millrace verify workflow`: events that came meanwhile are followed into the database."""

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymongo.collection import Collection as MongoCollection
from services.tests.mongo import matches
from services.tests.stands import stands_for
from services.tests.verify.test_compare import bad, good

from millrace.clients import mongodb
from millrace.clients.services import Peer
from millrace.config import Settings
from millrace.feeds.stocks import STOCKS
from millrace.runtime import retry
from millrace.verify.data import arrivals
from millrace.verify.data.arrivals import (
    Flow,
    between,
    follow,
    has_nothing_new,
    polls_often,
    producers,
)
from millrace.verify.data.compare import Letter, Letters, Partition, RecordPosition
from millrace.verify.data.log import Log
from millrace.verify.data.oracle import Record

TOPIC = "stock-data"


@stands_for(MongoCollection)
class FakeCollection:
    """Documents by the number of their event, each with the offset of its record."""

    def __init__(self, offsets: dict[int, int]) -> None:
        self.documents = [
            {
                "_id": f"stocks:test:A:{n}",
                "kafka": {"topic": TOPIC, "partition": 0, "offset": offset},
            }
            for n, offset in offsets.items()
        ]

    def estimated_document_count(self) -> int:
        return len(self.documents)

    def find(self, condition: dict[str, Any], _: Any, *, max_time_ms: int) -> list[dict[str, Any]]:
        assert max_time_ms
        assert len(condition["_id"]["$in"]) <= arrivals.AT_ONCE
        return [d for d in self.documents if matches(d, condition)]


def followed(
    records: Sequence[Record],
    offsets: dict[int, int],
    *,
    dead: Sequence[int] = (),
    before: int = 0,
    log: str = "",
) -> Flow:
    letters: Letters = {RecordPosition(TOPIC, 0, n): [Letter(None, None)] for n in dead}
    database: Any = {STOCKS.collection: FakeCollection(offsets)}
    placed = [(RecordPosition(TOPIC, 0, record.offset, log), record) for record in records]
    return follow(STOCKS, placed, database, letters, before)


def test_what_is_stored_repeated_or_dead_is_accounted_for() -> None:
    records = [good(4), good(5), good(6, number=1), bad(7)]
    flow = followed(records, {1: 1, 4: 4, 5: 5}, dead=[7], before=1)
    assert flow == Flow(4, 2, 1, 1, documents_before=1, documents_after=3)
    assert flow.is_complete


def test_an_event_that_came_twice_meanwhile_counts_once() -> None:
    flow = followed([good(4), good(5, number=4)], {4: 4})
    assert (flow.stored, flow.repeated) == (1, 1)
    assert flow.is_complete


def test_what_is_stored_from_a_former_log_came_before() -> None:
    flow = followed([good(4), bad(5)], {4: 4}, dead=[5], log="later")
    assert (flow.stored, flow.repeated, flow.dead_letters) == (0, 1, 0)


def test_many_events_are_looked_up_in_several_questions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrivals, "AT_ONCE", 3)
    records = [good(n) for n in range(4, 14)]
    flow = followed([*records, good(20, number=4)], {n: n for n in range(4, 14)})
    assert (flow.published, flow.stored, flow.repeated) == (11, 10, 1)


@pytest.mark.parametrize("records", [[good(4), good(5)], [good(4), bad(5)]])
def test_a_lost_event_is_found(records: list[Record]) -> None:
    assert not followed(records, {4: 4}).is_complete


def test_a_collection_that_has_not_grown_is_found() -> None:
    assert not followed([good(4)], {4: 4}, before=1).is_complete


@given(st.lists(st.sampled_from(["stored", "dead", "lost", "repeated"]), max_size=12))
def test_whatever_comes_is_complete_unless_something_is_lost(fates: list[str]) -> None:
    records, offsets, dead = [], {0: 0}, []
    for offset, fate in enumerate(fates, start=1):
        records.append(
            bad(offset)
            if fate == "dead"
            else good(offset, number=0 if fate == "repeated" else None)
        )
        if fate == "stored":
            offsets[offset] = offset
        elif fate == "dead":
            dead.append(offset)
    flow = followed(records, offsets, dead=dead, before=1)
    assert flow.is_complete == ("lost" not in fates)
    assert (flow.published, flow.stored) == (len(fates), fates.count("stored"))
    assert (flow.repeated, flow.dead_letters) == (fates.count("repeated"), fates.count("dead"))


def test_what_was_written_between_two_looks() -> None:
    first = [Partition("t", 0, 0, 10), Partition("t", 1, 0, 5)]
    last = [Partition("t", 0, 3, 12), Partition("t", 1, 0, 5), Partition("t", 2, 0, 1)]
    assert between(first, last) == [Partition("t", 0, 10, 12), Partition("t", 2, 0, 1)]
    anew = [Partition("t", 0, 0, 12, "later")]
    assert between(first, anew) == anew


def test_a_silent_producer_says_why() -> None:
    found = producers(
        [
            Peer("producer-a", True, {"state": "waiting", "last_error": "quota", "next_poll": "9"}),
            Peer("producer-b", False, {"problem": "does not answer"}),
            Peer("producer-c", True, {}),
        ]
    )
    assert found == [
        "producer-a: waiting, last error: quota, next poll 9",
        "producer-b: does not answer",
        "producer-c: no word why",
    ]
    assert producers([]) == ["there is no producer"]


@stands_for(Log)
class FakeLog:
    """A topic whose end grows with every look, up to a number of records."""

    def __init__(self, records: Sequence[Record]) -> None:
        self.records = records
        self.looks = 0

    def __enter__(self) -> "FakeLog":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def partitions(self, topics: Sequence[str]) -> list[Partition]:
        assert topics == [TOPIC]
        end = min(len(self.records), 1 + self.looks // 2)
        self.looks += 1
        return [Partition(TOPIC, 0, 0, end)]

    def read(self, partition: Partition) -> Iterator[Record]:
        yield from self.records[partition.start : partition.end]

    def letters(self, _: str) -> Letters:
        return {}


def polling(host: str, **says: Any) -> Peer:
    """A producer that polls often, as it says itself."""
    counts = {"published": 5, "polls": {"success": 2}}
    return Peer(host, True, {"feed": "stocks", "timing": "every 0.25 s", **counts, **says})


def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each look at the clock is a second later, and no pause takes any time."""
    clock = SimpleNamespace(monotonic=iter(range(1000)).__next__, sleep=lambda _: None)
    for module in (arrivals, retry):
        monkeypatch.setattr(module, "time", clock)


def workflow(
    monkeypatch: pytest.MonkeyPatch,
    records: Sequence[Record],
    seconds: float,
    *looks: Sequence[Peer],
) -> Any:
    """What is found with producers that say one thing after the other, the last one for good."""
    log = FakeLog(records)
    database = {STOCKS.collection: FakeCollection({0: 0, 1: 1})}
    counts = iter((1, 2, 2))
    database[STOCKS.collection].estimated_document_count = lambda: next(counts)  # type: ignore[method-assign]
    said = {host: [look[n] for look in looks] for n, host in enumerate(p.host for p in looks[0])}

    def ask(_: Settings, host: str) -> Peer:
        return said[host].pop(0) if len(said[host]) > 1 else said[host][0]

    monkeypatch.setattr(mongodb, "client", lambda _: nullcontext({"millrace": database}))
    monkeypatch.setattr(mongodb, "check", lambda _: None)
    monkeypatch.setattr(arrivals, "Log", lambda *_: log)
    monkeypatch.setattr(arrivals, "wait_for_group", lambda *_: None)
    monkeypatch.setattr(arrivals, "ask", ask)
    quick(monkeypatch)
    settings = Settings(feeds=["stocks"], status_hosts=["processor", *said])
    return arrivals.verify(settings, seconds)


WAITING = Peer("producer-stocks", True, {"feed": "stocks", "state": "waiting"})


def test_new_events_that_are_stored_are_the_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    report = workflow(monkeypatch, [good(0), good(1)], 100, [WAITING])
    assert report.ok
    assert report.silent == []
    assert report.feeds == {"stocks": Flow(1, 1, 0, 0, 1, 2)}


def test_an_event_that_is_not_stored_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    report = workflow(monkeypatch, [good(0), good(1, number=9)], 100, [WAITING])
    assert not report.ok
    assert report.silent == []


def test_without_events_the_producers_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    report = workflow(monkeypatch, [good(0)], 20, [WAITING])
    assert not report.ok
    assert report.silent == ["producer-stocks: waiting"]


def test_a_producer_that_does_not_answer_fails_whatever_comes_from_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dead = Peer("producer-dead", False, {"problem": "does not answer"})
    report = workflow(monkeypatch, [good(0), good(1)], 100, [polling("producer-a"), dead])
    assert not report.ok
    assert report.feeds["stocks"].is_complete
    assert report.silent == ["producer-dead: does not answer"]


class Sources(arrivals._Producers):
    """Producers that say first one thing and then, for good, another."""

    def __init__(self, before: Sequence[Peer], now: Sequence[Peer]) -> None:
        self._feeds, self._hosts = ["stocks", "quotes"], [peer.host for peer in before]
        self._before, self._now = list(before), list(now)

    def _look(self) -> list[Peer]:
        return self._now


def test_a_feed_whose_producer_polls_often_is_waited_for() -> None:
    ticks = polling("producer-ticks", feed="quotes", state="polling")
    sources = Sources([WAITING, ticks], [WAITING, ticks])
    assert sources.awaited({"stocks"}) == [ticks]
    assert sources.silent({"stocks"}) == ["producer-ticks: polling"]
    assert sources.awaited({"stocks", "quotes"}) == []
    assert sources.silent({"stocks", "quotes"}) == []


def test_the_wait_goes_on_until_every_feed_that_has_to_has_come(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ends = iter([(6, 1), (7, 1), (8, 2), (9, 3)])

    class Growing:
        def partitions(self, _: Any) -> list[Partition]:
            stocks, quotes = next(ends)
            return [Partition(TOPIC, 0, 0, stocks), Partition("quotes", 0, 0, quotes)]

    quick(monkeypatch)
    ticks = polling("producer-ticks", feed="quotes")
    log: Any = Growing()
    first = [Partition(TOPIC, 0, 0, 5), Partition("quotes", 0, 0, 1)]
    last = arrivals._wait_for_events(log, first, Sources([ticks], [ticks]), 100)
    assert [partition.end for partition in last] == [9, 3]


def test_an_upstream_that_has_nothing_new_is_not_waited_for() -> None:
    ticks = polling("producer-ticks", feed="quotes")
    polled = polling("producer-ticks", feed="quotes", polls={"success": 3})
    published = polling("producer-ticks", feed="quotes", polls={"success": 3}, published=6)
    assert Sources([ticks], [polled]).awaited({"stocks"}) == []
    assert Sources([ticks], [published]).awaited({"stocks"}) == [published]
    assert not has_nothing_new(ticks, ticks)
    assert not has_nothing_new(ticks, Peer("producer-ticks", False, {}))


@pytest.mark.parametrize(
    ("says", "often"),
    [
        ({}, True),
        ({"timing": "every 10 s"}, True),
        ({"state": "waiting after an error (transient)"}, True),
        ({"timing": "every 60 s"}, False),
        ({"timing": "at 30 6 * * 1-5"}, False),
        ({"timing": "once"}, False),
        ({"state": "paused"}, False),
        ({"state": "finished"}, False),
    ],
)
def test_who_polls_often(says: dict[str, Any], often: bool) -> None:
    assert polls_often(polling("producer-a", **says)) == often
