"""The comparison of the latest values with what is stored."""

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from redis.exceptions import ConnectionError as NoConnection
from services.tests.feeds.events import quote

from millrace import cache, latest, mongo
from millrace.config import Settings
from millrace.feeds.base import TIME_FIELD
from millrace.feeds.quotes import QUOTES, Quote
from millrace.latest import Latest
from millrace.verify import latest as compared
from millrace.verify import stored
from millrace.verify.attempts_redis import PING, attempts

LONG = timedelta(days=36500)
OLD, NEW = quote(1.0), quote(2.0, seconds=1)


def document(event: Quote) -> dict[str, Any]:
    return {"_id": event.event_id, **QUOTES.document(event, {}), "kafka": {"offset": 0}}


def value(event: Quote) -> Latest:
    return latest.of(QUOTES, document(event))


class Pipeline:
    """MongoDB with quotes of one symbol, and Redis with its value."""

    def __init__(self, *events: Quote, found: Latest | None, price: str | None = None) -> None:
        self.documents = [document(event) for event in events]
        self.found = found
        self.price = price or (found.price if found else None)
        self.later: list[Latest] = []

    def aggregate(self, *_: Any, **__: Any) -> list[dict[str, Any]]:
        return [max(self.documents, key=lambda d: d[TIME_FIELD])]

    def find(self, condition: dict[str, Any]) -> list[dict[str, Any]]:
        return [d for d in self.documents if condition.items() <= d.items()]

    def hmget(self, name: str, *fields: str) -> list[str | None]:
        assert name == "last_quote:IBM"
        found = self.found
        if self.later:
            self.found = self.later.pop(0)
            self.price = self.found.price
        if found is None:
            return [None] * len(fields)
        return [str(found.ts_ms), found.price, found.quote]

    def get(self, name: str) -> str | None:
        assert name == "last_price:IBM"
        return self.price

    def compare(self, ttl: timedelta = LONG) -> list[str]:
        port: Any = self
        tally = compared.compare(QUOTES, port, port, ttl, wait=0.05)
        assert tally.records == 1
        assert tally.stored + tally.differences == 1
        return tally.examples


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compared, "POLL_SECONDS", 0.001)


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


def test_redis_that_does_not_answer_is_one_clear_line() -> None:
    pipeline = Pipeline(OLD, found=None)

    def fail(*_: Any) -> Any:
        raise NoConnection("Error 111")

    pipeline.get = fail  # type: ignore[method-assign, assignment]
    with pytest.raises(cache.CacheUnreachable, match="Error 111"):
        pipeline.compare()


@pytest.mark.parametrize(("host", "feeds"), [("", ["quotes"]), ("redis", ["stocks"])])
def test_without_redis_or_quotes_there_is_nothing_to_compare(host: str, feeds: list[str]) -> None:
    database: Any = SimpleNamespace()
    found = [feed for feed in (QUOTES,) if feed.name in feeds]
    assert stored._latest_values(found, database, Settings(redis_host=host)) == {}


def test_nothing_is_tried_on_a_redis_that_is_not_there() -> None:
    with attempts(Settings()) as tried:
        assert tried == []


def test_every_way_in_is_tried() -> None:
    settings = Settings.model_validate(
        {"redis_host": "redis", "redis_username": "operator", "redis_password": "p"}
    )
    with attempts(settings) as tried:
        names = {attempt.name: attempt.expected for attempt in tried}
    assert names["plaintext"] == "TLS"
    assert names["anonymous: read"] == names["wrong password"] == "authentication"
    assert names["write a price"] == names["load a script"] == "authorisation"
    assert PING == b"*1\r\n$4\r\nPING\r\n"


def test_the_newest_document_is_asked_for_in_limited_time() -> None:
    asked: list[Any] = []

    def aggregate(pipeline: list[dict[str, Any]], **options: Any) -> list[Any]:
        asked.append((pipeline[0], options))
        return []

    collection: Any = SimpleNamespace(aggregate=aggregate)
    mongo.newest(collection, "IBM", 5)
    mongo.newest(collection, None, 6)
    (one, limit), (every, _) = asked
    assert one == {"$match": {"symbol": "IBM"}}
    assert limit == {"maxTimeMS": 5}
    assert "$sort" in every
