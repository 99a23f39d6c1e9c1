"""What holds of a cache of the latest values: the processor's port, and the client of Redis."""

import hashlib
from typing import Any

from redis.exceptions import NoScriptError

from millrace.clients.latest_values import Latest
from millrace.processor.ports import Cache, Kept

SCRIPT = "return 1"
SHA = hashlib.sha1(SCRIPT.encode(), usedforsecurity=False).hexdigest()


def value(ts_ms: int, symbol: str = "IBM") -> Latest:
    return Latest(symbol, ts_ms, f"{ts_ms}.5", f'{{"at": {ts_ms}}}')


class Writing:
    """Of ports.Cache; `cache` is an empty one."""

    def test_only_what_is_newer_is_written(self, cache: Cache) -> None:
        assert cache.put([value(5)], create=True) == [Kept.WRITTEN]
        values = [value(4), value(5), value(6), value(7, "AAPL")]
        expected = [Kept.NOT_NEWER, Kept.NOT_NEWER, Kept.WRITTEN, Kept.WRITTEN]
        assert cache.put(values, create=True) == expected

    def test_what_is_not_there_is_written_only_where_that_is_said(self, cache: Cache) -> None:
        assert cache.put([value(5)], create=False) == [Kept.ABSENT]
        assert cache.put([value(4)], create=True) == [Kept.WRITTEN]
        assert cache.put([value(6)], create=False) == [Kept.WRITTEN]

    def test_it_is_complete_when_who_began_has_finished(self, cache: Cache) -> None:
        assert not cache.is_complete()
        mark = cache.begin()
        assert cache.begin() == mark, "another one began before"
        assert not cache.is_complete()
        assert not cache.finish("another mark")
        assert cache.finish(mark)
        assert cache.is_complete()
        assert cache.finish(mark), "the other one has finished too"


class CachePort(Writing):
    """Of one that knows its connections."""

    def test_a_connection_is_an_epoch(self, cache: Cache) -> None:
        assert cache.epoch == 0
        cache.is_complete()
        cache.is_complete()
        assert cache.epoch == 1


class Strings:
    """Of a client that gets and sets; `client` is one of an empty server."""

    def test_what_is_not_there_is_none(self, client: Any) -> None:
        assert client.get("absent") is None

    def test_what_is_there_stays_where_that_is_said(self, client: Any) -> None:
        client.set("key", "first", nx=True)
        client.set("key", "second", nx=True)
        assert client.get("key") == "first"
        client.set("key", "third", nx=False)
        assert client.get("key") == "third"

    def test_a_script_that_is_not_known_is_an_answer_and_no_error(self, client: Any) -> None:
        assert [type(one) for one in run(client)] == [NoScriptError] * 2
        client.script_load(SCRIPT)
        assert run(client) == [1, 1]


def run(client: Any) -> list[Any]:
    """The answers to two calls of the script in one exchange."""
    with client.pipeline(transaction=False) as pipeline:
        pipeline.evalsha(SHA, 0)
        pipeline.evalsha(SHA, 0)
        return list(pipeline.execute(raise_on_error=False))


FIELDS = {"ts_ms": "5", "price": "1.0"}


class Hashes:
    """Of a client that reads hashes; `client` has one at `last_quote:A`, with some fields."""

    def test_a_field_that_is_not_there_is_none(self, client: Any) -> None:
        assert client.hmget("last_quote:A", "ts_ms", "price", "quote") == ["5", "1.0", None]
        assert client.hmget("last_quote:B", "ts_ms", "price") == [None, None]
