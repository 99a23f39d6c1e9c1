"""What Redis keeps of an event."""

import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import bson
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis import Redis
from services.tests.broker import certificate
from services.tests.feeds.events import quote
from services.tests.stands import stands_for

from millrace.clients import latest_values, redis
from millrace.clients.latest_values import Latest, decimal
from millrace.clients.mongodb import AS_STORED
from millrace.config import Settings
from millrace.errors import ConfigurationError
from millrace.feeds import FEEDS
from millrace.feeds.quotes import QUOTES, Quote


def document(event: Quote) -> dict[str, Any]:
    """As the processor inserts it."""
    return {"_id": event.event_id, **QUOTES.document(event, {}), "kafka": {"offset": 3}}


@given(st.floats(1e-9, 1e12))
def test_a_price_is_decimal_and_the_same_number(price: float) -> None:
    text = decimal(price)
    assert set(text) <= set("0123456789.")
    assert float(text) == price
    assert msgspec.json.decode(text) == price


@pytest.mark.parametrize(
    ("price", "text"), [(231.1, "231.1"), (1e-9, "0.000000001"), (1e12, "1000000000000.0")]
)
def test_a_price_has_as_few_digits_as_it_needs(price: float, text: str) -> None:
    assert decimal(price) == text


# MongoDB keeps milliseconds, and forgets in which zone they were told.
times = st.integers(-(10**15), 7 * 10**15).map(
    lambda microseconds: (
        datetime(1970, 1, 1, tzinfo=timezone(timedelta(hours=5)))
        + timedelta(microseconds=microseconds)
    )
)


@given(times, times, st.floats(1e-9, 1e12))
def test_it_is_the_same_of_what_is_inserted_and_of_what_is_read(
    observed_at: datetime, produced_at: datetime, price: float
) -> None:
    inserted = document(quote(price, observed_at=observed_at, produced_at=produced_at))
    read = bson.decode(bson.encode(inserted), AS_STORED)
    assert latest_values.of(QUOTES, inserted) == latest_values.of(QUOTES, read)


def test_it_is_what_the_api_shows() -> None:
    event = quote(231.1, observed_at=datetime(2026, 1, 2, 15, 0, 0, 123_000, tzinfo=UTC))
    value = latest_values.of(QUOTES, document(event))
    assert (value.symbol, value.price) == ("IBM", "231.1")
    assert value.time == event.observed_at
    shown = json.loads(value.quote)
    assert shown["event_id"] == event.event_id
    assert shown["timestamp_utc"] == "2026-01-02T15:00:00.123000Z"
    assert "kafka" not in shown


def test_time_is_exact_in_milliseconds_before_1970_too() -> None:
    time = datetime(1969, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC)
    value = latest_values.of(QUOTES, document(quote(1.0, observed_at=time)))
    assert value.ts_ms == -1
    assert value.time == time


def test_one_feed_at_most_is_cached() -> None:
    assert [feed.name for feed in FEEDS.values() if feed.is_cached] == ["quotes"]


@stands_for(Redis)
class Client:
    """The reading side of a Redis client."""

    def __init__(self, **keys: Any) -> None:
        self._keys = keys

    def hmget(self, name: str, *fields: str) -> list[str | None]:
        return [self._keys.get(name, {}).get(field) for field in fields]


def test_a_value_is_read_from_its_hash() -> None:
    fields = {"ts_ms": "-5", "price": "1.0", "quote": "{}"}
    client: Any = Client(**{"last_quote:IBM": fields})
    assert redis.value(client, "IBM") == Latest("IBM", -5, "1.0", "{}")
    assert redis.value(client, "AAPL") is None


def test_a_client_is_made_of_credentials_and_tls(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="the file /run/secrets/redis_password"):
        redis.client(Settings(redis_host="redis", redis_username="api"))
    settings = Settings.model_validate(
        {
            "redis_host": "redis",
            "redis_username": "api",
            "redis_password": "p",
            "redis_ca_file": tmp_path / "redis.pem",
        }
    )
    with pytest.raises(ConfigurationError, match="MILLRACE_REDIS_CA_FILE: cannot read the auth"):
        redis.client(settings)
    certificate(tmp_path, "redis")
    pool = redis.client(settings).connection_pool
    assert pool.connection_class.__name__ == "SSLConnection"
    connection: Any = pool.make_connection()
    assert connection.check_hostname
    assert connection.ca_certs == str(settings.redis_ca_file)
