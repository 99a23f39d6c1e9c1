"""`millrace verify data` between its parts: what is read, and what is waited for."""

from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from kafka import KafkaAdminClient
from pymongo.collection import Collection as MongoCollection
from pymongo.cursor import Cursor
from services.tests.mongo import matches
from services.tests.stands import standing_for, stands_for
from services.tests.verify.test_compare import bad, event, record

from millrace.clients import kafka, lag
from millrace.clients.lag import PartitionLag
from millrace.config import Settings
from millrace.errors import MillraceError
from millrace.feeds.base import BY_LOG_POSITION, BY_POSITION, TIME_FIELD, Series
from millrace.feeds.stocks import STOCKS
from millrace.verify.data import stored
from millrace.verify.data.compare import Letter, Partition, RecordPosition, Tally
from millrace.verify.data.log import Log
from millrace.verify.data.oracle import Record, Stored, outcomes
from millrace.verify.data.unlogged import Unlogged

OLD, NEW = 0.05, 0.5
PRICES = (100.0, 110.0, 200.0, 201.0)
"""A move of 10 %, one of 82 %, and one that is none."""


def log_of_prices() -> list[Record]:
    events = (msgspec.structs.replace(event(n), price=p) for n, p in enumerate(PRICES))
    return [*(record(offset, one) for offset, one in enumerate(events)), bad(len(PRICES))]


@stands_for(Log)
class FakeLog:
    """Topics in memory."""

    def __init__(self, alerts: Sequence[bytes], start: int = 0) -> None:
        self.records = log_of_prices()
        self.alerts = [SimpleNamespace(value=value) for value in alerts]
        self.start = start

    def partitions(self, topics: Sequence[str]) -> list[Partition]:
        assert topics == ["stock-alerts"]
        return [Partition("stock-alerts", 0, 0, len(self.alerts))]

    def read(self, partition: Partition) -> Iterator[Any]:
        records: Sequence[Any] = self.records if partition.topic == "stock-data" else self.alerts
        yield from records[partition.start if partition.topic == "stock-data" else 0 :]


@stands_for(MongoCollection)
class FakeCollection:
    """Documents in memory, found by partition, offset, series and identity."""

    def __init__(self, documents: Sequence[dict[str, Any]]) -> None:
        self.documents = documents
        self.read = 0

    def _matching(self, condition: dict[str, Any]) -> list[dict[str, Any]]:
        return [d for d in self.documents if matches(d, condition)]

    def find(self, condition: dict[str, Any], _: Any = None, **options: Any) -> Any:
        # Everything since the log begins is read in many answers, each of which is small.
        assert "max_time_ms" in options or "$gte" in condition["kafka.offset"]
        found = self._matching(condition)
        self.read += len(found)
        return Found(found)

    def find_one(self, condition: dict[str, Any], _: Any, **options: Any) -> dict[str, Any] | None:
        assert options["max_time_ms"]
        if "_id" in condition:
            return next((d for d in self.documents if d["_id"] == condition["_id"]), None)
        assert options["sort"] == [(TIME_FIELD, -1)]
        return max(self._matching(condition), key=lambda d: d[TIME_FIELD], default=None)

    def count_documents(self, condition: dict[str, Any], **options: Any) -> int:
        assert options["maxTimeMS"]
        named = [*BY_LOG_POSITION.keys] if "kafka.log" in condition else [*BY_POSITION.keys]
        assert options["hint"] == (named if condition else "_id_")
        return len(self._matching(condition))


@stands_for(Cursor)
class Found(list[dict[str, Any]]):
    """Documents in the order of the log, whatever order is asked for."""

    def sort(self, _: Any) -> "Found":  # type: ignore[override]
        return self


def faultless(threshold: float) -> tuple[list[dict[str, Any]], list[bytes]]:
    """What a processor with this threshold stores and raises."""
    made = [o for o in outcomes(STOCKS, log_of_prices(), threshold) if isinstance(o, Stored)]
    return [o.document for o in made], [msgspec.json.encode(o.alert) for o in made if o.alert]


def compare(alerts: Sequence[bytes], *, now: float = OLD, start: int = 0) -> Tally:
    documents, _ = faultless(OLD)
    records = log_of_prices()
    letters = {RecordPosition("stock-data", 0, 4): [Letter(records[4].key, records[4].value)]}
    log: Any = FakeLog(alerts)
    collection: Any = FakeCollection(documents)
    partition = Partition("stock-data", 0, start, len(records))
    settings = Settings(stock_alert_threshold=now)
    return stored._feed(STOCKS, [partition], log, collection, letters, settings)


def test_what_a_faultless_processor_leaves_is_equal() -> None:
    tally = compare(faultless(OLD)[1])
    assert tally.examples == []
    assert (tally.records, tally.stored, tally.dead_letters, tally.alerts) == (5, 4, 1, 2)


def test_a_missing_alert_is_found() -> None:
    assert compare(faultless(OLD)[1][:1]).examples == ["alert stocks:test:A:2:move was not raised"]


LATER = "later"


@pytest.mark.parametrize("start", [0, 2])
def test_what_is_of_a_log_that_is_gone_is_counted_and_no_difference(start: int) -> None:
    """The topic was made again, with fewer partitions; what came again is stored from before."""
    again, *others = faultless(OLD)[0]
    records = [record._replace(log=LATER) for record in log_of_prices()]
    made = [o for o in outcomes(STOCKS, records[1:], OLD) if isinstance(o, Stored)]
    elsewhere = {**others[0], "_id": "gone", "kafka": {**others[0]["kafka"], "partition": 1}}
    collection: Any = FakeCollection([again, elsewhere, *(o.document for o in made)])
    bad = records[4]
    letters = {
        RecordPosition("stock-data", 0, 4, LATER): [Letter(bad.key, bad.value)],
        RecordPosition("stock-data", 0, 1): [Letter(b"gone", None)],
        RecordPosition("stock-data", 1, 4): [Letter(b"gone", None), Letter(b"gone", None)],
    }
    alert = made[1].alert
    assert alert is not None
    gone = msgspec.structs.replace(alert, event_id="gone", cause="gone")
    raised = [msgspec.json.encode(one) for one in (gone, alert)]
    log: Any = FakeLog(raised)
    log.records = records
    partition = Partition("stock-data", 0, start, len(records), LATER)
    tally = stored._feed(STOCKS, [partition], log, collection, letters, Settings())
    assert tally.examples == []
    assert tally.former == 2 + 3
    assert (tally.stored, tally.repeated, tally.dead_letters) == ((3, 1, 1), (2, 0, 1))[start // 2]
    assert letters == {}


def test_the_threshold_may_have_changed_since() -> None:
    assert compare(faultless(OLD)[1], now=NEW).examples == []
    assert compare([*faultless(OLD)[1][:1], *faultless(NEW)[1]], now=NEW).examples == []
    assert compare(faultless(OLD)[1][:1], now=NEW).differences == 1


def test_alerts_of_events_that_the_log_has_forgotten_are_left_alone() -> None:
    tally = compare(faultless(OLD)[1], start=2)
    assert tally.examples == []
    assert (tally.trimmed, tally.stored, tally.alerts) == (2, 2, 1)


def test_no_more_is_read_of_what_is_forgotten_than_is_asked_for() -> None:
    documents, _ = faultless(OLD)
    old = {**documents[0], "_id": "old", TIME_FIELD: documents[0][TIME_FIELD] - 2 * STOCKS.window}
    elsewhere = {**documents[3], "_id": "elsewhere", "kafka": {"partition": 1, "offset": 9}}
    collection: Any = FakeCollection([old, *documents, elsewhere])
    unlogged = Unlogged(STOCKS, collection, Partition("stock-data", 0, 3, 5))
    series = Series(documents[0]["source"], "A")
    assert unlogged.count() == 4
    assert [d["_id"] for d in unlogged.documents(0, series)] == [d["_id"] for d in documents[:3]]
    assert list(unlogged.documents(0, Series("another", "A"))) == []
    ids = [document["_id"] for document in documents]
    assert unlogged.known([*ids, "elsewhere", "new"]) == [*ids[:3], "elsewhere"]
    assert collection.read == 7


def test_of_a_whole_log_nothing_is_forgotten_but_events_may_be_stored_from_another_partition() -> (
    None
):
    documents, _ = faultless(OLD)
    elsewhere = {**documents[3], "_id": "elsewhere", "kafka": {"partition": 1, "offset": 9}}
    collection: Any = FakeCollection([*documents, elsewhere])
    unlogged = Unlogged(STOCKS, collection, Partition("stock-data", 0, 0, 5))
    assert list(unlogged.documents(0, Series(documents[0]["source"], "A"))) == []
    assert unlogged.known([documents[0]["_id"], "elsewhere"]) == ["elsewhere"]


def lags(monkeypatch: pytest.MonkeyPatch, *positions: int) -> list[int]:
    """Let the group be at these positions, one after the other, of a log that grows meanwhile."""
    left = list(positions)

    def read(*_: Any) -> list[PartitionLag]:
        position = left.pop(0) if len(left) > 1 else left[0]
        return [
            PartitionLag("t", 0, 100, 100 - position, held=position > 5),
            PartitionLag("t", 1, 7, 7),  # made since
        ]

    monkeypatch.setattr(lag, "read", read)
    monkeypatch.setattr(
        kafka, "admin", lambda _: standing_for(KafkaAdminClient, close=lambda: None)
    )
    monkeypatch.setattr(stored, "POLL_SECONDS", 0.0)
    return left


def test_the_group_is_waited_for_up_to_the_end_that_was_seen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    left = lags(monkeypatch, 5, 8, 10, 99)
    stored.wait_for_group(Settings(), [Partition("t", 0, 0, 10)])
    assert left == [99]


def test_a_group_that_does_not_get_there_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    lags(monkeypatch, 7)
    monkeypatch.setattr(stored, "WAIT_SECONDS", 0.0)
    with pytest.raises(MillraceError, match=r"3 records behind after 0 s: t/0$"):
        stored.wait_for_group(Settings(), [Partition("t", 0, 0, 10)])


def test_what_nobody_reads_is_named_in_that_error(monkeypatch: pytest.MonkeyPatch) -> None:
    lags(monkeypatch, 5)
    monkeypatch.setattr(stored, "WAIT_SECONDS", 0.0)
    with pytest.raises(MillraceError, match=r"t/0; nobody reads t/0$"):
        stored.wait_for_group(Settings(), [Partition("t", 0, 0, 10)])
