"""The comparison of the latest values with what is stored."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from pymongo.collection import Collection as MongoCollection
from redis import Redis
from redis.client import Pipeline as RedisPipeline
from redis.exceptions import ConnectionError as NoConnection
from services.tests.broker import certificate
from services.tests.feeds.events import quote
from services.tests.mongo import matches
from services.tests.stands import standing_for, stands_for

from millrace.clients import latest_values, mongodb, redis
from millrace.clients.latest_values import Latest
from millrace.config import Settings
from millrace.feeds.base import TIME_FIELD
from millrace.feeds.quotes import QUOTES, Quote
from millrace.verify.access.attempts_redis import PING, attempts
from millrace.verify.data import cached, stored
from millrace.verify.data.compare import Tally

LONG = timedelta(days=36500)
OLD, NEW = quote(1.0), quote(2.0, seconds=1)


def document(event: Quote) -> dict[str, Any]:
    return {"_id": event.event_id, **QUOTES.document(event, {}), "kafka": {"offset": 0}}


def value(event: Quote) -> Latest:
    return latest_values.of(QUOTES, document(event))


@stands_for(MongoCollection, Redis, tools=("compare",))
class Pipeline:
    """MongoDB with quotes of one symbol, and Redis with its value."""

    def __init__(self, *events: Quote, found: Latest | None, price: str | None = None) -> None:
        self.documents = [document(event) for event in events]
        self.found = found
        self.price = price or (found.price if found else None)
        self.later: list[Latest] = []
        self.evicted = 0

    def aggregate(self, *_: Any, **__: Any) -> list[dict[str, Any]]:
        return [max(self.documents, key=lambda d: d[TIME_FIELD])]

    def find(self, condition: dict[str, Any], *, max_time_ms: int) -> list[dict[str, Any]]:
        assert max_time_ms
        return [d for d in self.documents if matches(d, condition)]

    @contextmanager
    def pipeline(self, *, transaction: bool) -> Iterator[Any]:
        """Commands of one exchange, as the client collects and answers them."""
        assert not transaction
        answers: list[Any] = []
        yield standing_for(
            RedisPipeline,
            hmget=lambda *names: answers.append(self.hmget(*names)),
            get=lambda name: answers.append(self.get(name)),
            execute=lambda: answers,
        )

    def info(self, section: str) -> dict[str, Any]:
        assert section == "stats"
        return {"evicted_keys": self.evicted}

    def hmget(self, name: str, *_fields: str) -> list[str | None]:
        assert name == "last_quote:IBM"
        found = self.found
        if self.later:
            self.found = self.later.pop(0)
            self.price = self.found.price
        if found is None:
            return [None] * 3
        return [str(found.ts_ms), found.price, found.quote]

    def get(self, name: str) -> str | None:
        assert name == "last_price:IBM"
        return self.price

    def compare(self, ttl: timedelta = LONG) -> list[str]:
        port: Any = self
        tally = cached.compare(QUOTES, port, port, ttl, wait=0.05)
        assert tally.records == 1
        assert tally.stored + tally.differences == 1
        return tally.examples


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cached, "POLL_SECONDS", 0.001)


def test_the_newest_stored_value_is_right() -> None:
    assert Pipeline(OLD, NEW, found=value(NEW)).compare() == []


def test_an_older_value_is_not() -> None:
    (text,) = Pipeline(OLD, NEW, found=value(OLD)).compare()
    assert (
        text == "IBM is 2026-01-02 15:00:00+00:00 in Redis and 2026-01-02 15:00:01+00:00 in MongoDB"
    )


def test_a_value_that_is_on_its_way_is_waited_for() -> None:
    pipeline = Pipeline(OLD, NEW, found=None)
    pipeline.later = [value(OLD), value(NEW)]
    assert pipeline.compare() == []


def test_a_value_that_came_meanwhile_is_right_if_it_is_stored() -> None:
    pipeline = Pipeline(OLD, found=value(NEW))
    assert "is not stored" in pipeline.compare()[0]
    pipeline.aggregate = lambda *_, **__: [document(OLD)]  # type: ignore[method-assign]
    pipeline.documents.append(document(NEW))
    assert pipeline.compare() == []


def test_a_value_that_nobody_stored_is_not() -> None:
    invented = value(msgspec.structs.replace(NEW, price=9.0))
    (text,) = Pipeline(OLD, NEW, found=invented).compare()
    assert "is not stored" in text


def test_the_price_alone_has_to_be_the_same() -> None:
    (text,) = Pipeline(OLD, NEW, found=value(NEW), price="1.0").compare()
    assert text == "IBM has the price 2.0 in Redis, and 1.0 where it is alone"


def test_a_missing_value_has_to_have_expired() -> None:
    missing = Pipeline(OLD, found=None)
    assert missing.compare() == ["IBM has no value in Redis"]
    assert missing.compare(ttl=timedelta(0)) == []


def test_a_redis_that_was_full_may_miss_values_and_have_no_wrong_ones() -> None:
    full = Pipeline(OLD, NEW, found=None)
    full.evicted = 1
    assert full.compare() == []
    full = Pipeline(OLD, NEW, found=value(OLD))
    full.evicted = 1
    assert len(full.compare()) == 1
    full.price = None
    assert full.compare() == []


class Many:
    """MongoDB and Redis with many symbols; some of them have no value for the first looks."""

    def __init__(self, count: int, missing: Sequence[int], looks: int) -> None:
        self.documents = [document(quote(1.0, symbol=f"S{number:05}")) for number in range(count)]
        self.missing = {f"S{number:05}" for number in missing}
        self.looks = looks
        self.right = {d["symbol"]: latest_values.of(QUOTES, d) for d in self.documents}
        self.sizes: list[int] = []

    def newest(self, *_: Any, **__: Any) -> Iterator[dict[str, Any]]:
        for number, one in enumerate(self.documents):
            assert number - sum(self.sizes) < mongodb.AT_ONCE, "more are read than are cached"
            yield one

    def values(self, _: Any, symbols: list[str]) -> list[Any]:
        self.sizes.append(len(symbols))
        if len(symbols) == len(self.missing):
            self.looks -= 1
        values = self.right
        there = symbols if self.looks <= 0 else [s for s in symbols if s not in self.missing]
        return [(values[s], values[s].price) if s in there else (None, None) for s in symbols]

    def compare(self, monkeypatch: pytest.MonkeyPatch, wait: float) -> Tally:
        monkeypatch.setattr(mongodb, "newest", self.newest)
        monkeypatch.setattr(redis, "values", self.values)
        monkeypatch.setattr(redis, "has_evicted", lambda _: False)
        port = standing_for(MongoCollection, find=lambda *_, **__: ())
        return cached.compare(QUOTES, port, port, LONG, wait)


def test_many_symbols_are_compared_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    world = Many(1200, missing=[3, 700, 1199], looks=2)
    tally = world.compare(monkeypatch, 30.0)
    assert (tally.records, tally.stored, tally.differences) == (1200, 1200, 0)
    assert world.sizes == [500, 500, 200, 3, 3]


def test_where_very_many_differ_the_rest_has_one_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cached, "MOST", 4)
    world = Many(1200, missing=range(600, 610), looks=10**6)
    tally = world.compare(monkeypatch, 0.05)
    assert (tally.records, tally.differences) == (1200, 10)
    assert {*world.sizes[3:]} == {4}


def test_redis_that_does_not_answer_is_one_clear_line() -> None:
    pipeline = Pipeline(OLD, found=None)

    def fail(*_: Any) -> Any:
        raise NoConnection("Error 111")

    pipeline.get = fail  # type: ignore[method-assign, assignment]
    with pytest.raises(redis.CacheUnreachable, match="Error 111"):
        pipeline.compare()


@pytest.mark.parametrize(("host", "feeds"), [("", ["quotes"]), ("redis", ["stocks"])])
def test_without_redis_or_quotes_there_is_nothing_to_compare(host: str, feeds: list[str]) -> None:
    database: Any = SimpleNamespace()
    found = [feed for feed in (QUOTES,) if feed.name in feeds]
    assert stored._latest_values(found, database, Settings(redis_host=host)) == {}


def test_nothing_is_tried_on_a_redis_that_is_not_there() -> None:
    with attempts(Settings()) as tried:
        assert tried == []


def test_every_way_in_is_tried(tmp_path: Path) -> None:
    settings = Settings.model_validate(
        {
            "redis_host": "redis",
            "redis_username": "operator",
            "redis_password": "p",
            "redis_ca_file": certificate(tmp_path, "redis"),
        }
    )
    with attempts(settings) as tried:
        names = {attempt.name: attempt.expected for attempt in tried}
    assert names["plaintext"] == "TLS"
    assert names["anonymous: read"] == names["wrong password"] == "authentication"
    assert names["write a price"] == names["load a script"] == "authorisation"
    assert PING == b"*1\r\n$4\r\nPING\r\n"
