"""The scripts of the Redis cache, run by an interpreter of Lua: what is newer stays."""

from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import fakeredis
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from millrace.clients import redis
from millrace.clients.latest_values import COMPLETE, Latest, price_key, quote_key
from millrace.config import Settings
from millrace.processor.ports import Kept
from millrace.processor.sinks.redis import RedisCache

SETTINGS = Settings(
    redis_host="redis",
    redis_username="processor",
    redis_password=SecretStr("s3cret"),
    redis_ttl_seconds=60,
)
KEYS = ("last_price:IBM", "last_quote:IBM")
WRITTEN, NOT_NEWER, ABSENT = Kept.WRITTEN, Kept.NOT_NEWER, Kept.ABSENT


def interpreter() -> Any:
    return fakeredis.FakeRedis(decode_responses=True)


@pytest.fixture
def server() -> Iterator[Any]:
    with interpreter() as server:
        yield server


def writing(server: Any) -> RedisCache:
    with patch.object(redis, "client", lambda _settings, _on_connect: server):
        return RedisCache(SETTINGS)


def value(ts_ms: int, price: str = "") -> Latest:
    return Latest("IBM", ts_ms, price or f"{ts_ms}.5", f'{{"at":{ts_ms}}}')


def put(server: Any, *values: Latest, create: bool = True) -> list[Kept]:
    return writing(server).put(values, create=create)


def seen(server: Any) -> Latest | None:
    """The value that readers see, whose two keys say the same."""
    found = redis.value(server, "IBM")
    assert server.get(KEYS[0]) == (found and found.price)
    return found


def test_what_is_older_does_not_replace_what_is_newer(server: Any) -> None:
    assert put(server, value(2000)) == [WRITTEN]
    assert put(server, value(1999), value(1)) == [NOT_NEWER, NOT_NEWER]
    assert seen(server) == value(2000)


def test_what_is_newer_replaces_what_is_older(server: Any) -> None:
    # As numbers: as text 999 is more than 2000.
    assert put(server, value(999)) == [WRITTEN]
    assert put(server, value(2000), create=False) == [WRITTEN]
    assert seen(server) == value(2000)


def test_of_two_events_of_one_time_the_first_stays(server: Any) -> None:
    assert put(server, value(2000), value(2000, "7.5")) == [WRITTEN, NOT_NEWER]
    assert seen(server) == value(2000)


@pytest.mark.parametrize("gone", [(), KEYS[:1], KEYS[1:], KEYS])
def test_what_is_not_there_is_made_only_where_that_is_asked_for(
    server: Any, gone: tuple[str, ...]
) -> None:
    put(server, value(2000))
    for key in gone:
        server.delete(key)
    before = {key: server.exists(key) for key in KEYS}
    same = [ABSENT] if gone else [NOT_NEWER]
    assert put(server, value(2000), create=False) == same
    assert {key: server.exists(key) for key in KEYS} == before
    assert put(server, value(2000)) == ([WRITTEN] if gone else [NOT_NEWER])
    assert seen(server) == value(2000)


def test_half_of_a_value_keeps_its_time(server: Any) -> None:
    put(server, value(2000))
    server.delete(KEYS[0])
    assert put(server, value(1999)) == [NOT_NEWER]
    assert server.get(KEYS[0]) is None


def test_both_keys_live_as_long_as_is_set_from_the_last_write(server: Any) -> None:
    put(server, value(1000))
    for key in KEYS:
        server.persist(key)
    put(server, value(1001))
    assert all(59_000 < server.pttl(key) <= 60_000 for key in KEYS)
    server.pexpire(KEYS[0], 5)
    put(server, value(1000))
    assert server.pttl(KEYS[0]) <= 5, "what is refused keeps nothing alive"


def test_each_symbol_has_its_own_time(server: Any) -> None:
    other = Latest("GOOG", 1, "1.5", "{}")
    assert put(server, value(2000), other) == [WRITTEN, WRITTEN]
    assert (seen(server), redis.value(server, "GOOG")) == (value(2000), other)
    assert set(server.keys()) == {
        *KEYS,
        price_key("GOOG"),
        quote_key("GOOG"),
    }


@given(st.lists(st.integers(0, 2000), min_size=1, max_size=20))
def test_in_any_order_the_newest_is_seen(times: list[int]) -> None:
    with interpreter() as server:
        answers = put(server, *(value(time, f"{n}.5") for n, time in enumerate(times)))
        newest = max(times)
        assert seen(server) == value(newest, f"{times.index(newest)}.5")
    highest = [max(times[:n], default=-1) for n in range(len(times))]
    assert [answer is WRITTEN for answer in answers] == [
        time > known for time, known in zip(times, highest, strict=True)
    ]


def test_a_cache_is_complete_when_who_filled_it_says_so(server: Any) -> None:
    filling = writing(server)
    mark = filling.begin()
    assert not filling.is_complete()
    assert writing(server).begin() == mark
    assert filling.finish(mark)
    assert filling.is_complete()
    assert writing(server).finish(mark), "two may have filled it"
    assert server.pttl(COMPLETE) == -1


def test_a_cache_that_was_emptied_meanwhile_is_not_complete(server: Any) -> None:
    filling = writing(server)
    mark = filling.begin()
    server.flushall()
    assert not filling.finish(mark)
    assert not filling.is_complete()
    assert filling.begin() != mark
    assert not filling.finish(mark)
    assert not filling.is_complete()
