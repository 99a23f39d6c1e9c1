"""The Redis cache: what it asks of the server, and what each answer means."""

import re
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import pytest
from pydantic import SecretStr
from redis import Redis
from redis.client import Pipeline as RedisPipeline
from redis.exceptions import (
    AuthenticationError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    RedisError,
)
from redis.exceptions import ConnectionError as NoConnection
from redis.exceptions import TimeoutError as NoAnswer
from services.tests.stands import stands_for

from millrace.clients import redis
from millrace.clients.latest_values import Latest
from millrace.config import Settings
from millrace.processor.errors import Transient
from millrace.processor.ports import Kept
from millrace.processor.sinks.redis import FINISH, PUT, RedisCache

SETTINGS = Settings(
    redis_host="redis",
    redis_username="processor",
    redis_password=SecretStr("s3cret"),
    redis_ttl_seconds=60,
)
ALLOWED = {"evalsha", "script_load", "get", "set"}
"""What the processor's user may run: with what the scripts call, below, and to log in."""
ALLOWED_IN_SCRIPTS = {"GET", "SET", "EXISTS", "HGET", "HSET", "PEXPIRE"}


@stands_for(Redis)
class Server:
    """A server that knows no script until one is loaded, and fails as told."""

    def __init__(self) -> None:
        self.scripts: set[str] = set()
        self.calls: list[tuple[Any, ...]] = []
        self.sizes: list[int] = []
        self.failures: list[Exception] = []
        self.answers: list[Any] = []
        self.strings: dict[str, str] = {}
        self.used: set[str] = set()

    def __call__(self, settings: Settings, on_connect: Any) -> "Server":
        assert settings is SETTINGS
        self.connect = on_connect
        return self

    def _use(self, name: str) -> None:
        self.used.add(name)
        if self.failures:
            raise self.failures.pop(0)

    def get(self, key: str) -> str | None:
        self._use("get")
        return self.strings.get(key)

    def set(self, key: str, value: str, *, nx: bool) -> None:
        self._use("set")
        if not (nx and key in self.strings):
            self.strings[key] = value

    def script_load(self, script: str) -> None:
        self._use("script_load")
        self.scripts.add(script)

    def pipeline(self, *, transaction: bool) -> "Pipeline":
        assert not transaction, "MULTI is not among what is allowed"
        return Pipeline(self)


@stands_for(RedisPipeline)
class Pipeline:
    def __init__(self, server: Server) -> None:
        self._server = server
        self._calls: list[tuple[Any, ...]] = []

    def __enter__(self) -> "Pipeline":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def evalsha(self, *call: Any) -> None:
        self._calls.append(call)

    def execute(self, *, raise_on_error: bool) -> list[Any]:
        self._server._use("evalsha")
        if not self._server.scripts:
            return [NoScriptError("no matching script") for _ in self._calls]
        self._server.calls += self._calls
        self._server.sizes.append(len(self._calls))
        answers = [self._server.answers.pop(0) if self._server.answers else 1 for _ in self._calls]
        assert not raise_on_error, "one failure would hide the others"
        return answers


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    with patch.object(redis, "client", server):
        yield server


def value(symbol: str = "IBM", ts_ms: int = 1000) -> Latest:
    return Latest(symbol, ts_ms, "231.1", '{"a":1}')


def test_a_script_that_the_server_does_not_know_is_loaded_once(server: Server) -> None:
    redis = RedisCache(SETTINGS)
    assert redis.put([value()], create=True) == [Kept.WRITTEN]
    assert redis.put([value()], create=True) == [Kept.WRITTEN]
    assert server.scripts == {PUT}
    assert len(server.calls) == 2


def test_a_value_goes_to_both_of_its_keys_with_its_time(server: Server) -> None:
    RedisCache(SETTINGS).put([value()], create=False)
    ((_, *call),) = server.calls
    keys = [2, "last_price:IBM", "last_quote:IBM"]
    assert call == [*keys, 1000, "231.1", '{"a":1}', 60_000, 0]


def test_each_value_has_its_own_answer(server: Server) -> None:
    server.answers = [1, 0, 2]
    values = [value("A"), value("B"), value("C")]
    found = RedisCache(SETTINGS).put(values, create=False)
    assert found == [Kept.WRITTEN, Kept.NOT_NEWER, Kept.ABSENT]


def test_many_values_go_in_parts(server: Server) -> None:
    values = [value(str(number)) for number in range(1001)]
    assert len(RedisCache(SETTINGS).put(values, create=True)) == 1001
    assert server.sizes == [500, 500, 1]


def test_nothing_to_put_asks_nothing(server: Server) -> None:
    assert RedisCache(SETTINGS).put([], create=True) == []
    assert not server.used


def test_the_mark_of_who_began_first_stays(server: Server) -> None:
    redis = RedisCache(SETTINGS)
    assert not redis.is_complete()
    mark = redis.begin()
    assert redis.begin() == mark
    server.answers = [1, 0]
    assert redis.finish(mark)
    assert not redis.finish(mark)
    server.strings["millrace:complete"] = "1"
    assert redis.is_complete()


@pytest.mark.parametrize(
    "error",
    [
        NoConnection("Error 111 connecting to redis:6379. Connection refused."),
        NoAnswer("Timeout reading from redis:6379"),
        AuthenticationError("invalid username-password pair"),
        NoPermissionError("this user has no permissions to run the 'get' command"),
        OutOfMemoryError("command not allowed when used memory > 'maxmemory'."),
    ],
)
def test_whatever_is_wrong_may_pass(server: Server, error: RedisError) -> None:
    redis = RedisCache(SETTINGS)
    for ask in (
        redis.is_complete,
        redis.begin,
        lambda: redis.finish("mark"),
        lambda: redis.put([value()], create=True),
    ):
        server.failures = [error]
        with pytest.raises(Transient, match="Redis") as caught:
            ask()
        assert "s3cret" not in str(caught.value)


def test_an_error_of_one_value_is_an_error(server: Server) -> None:
    server.answers = [1, OutOfMemoryError("used memory > 'maxmemory'"), 1]
    with pytest.raises(Transient, match="maxmemory"):
        RedisCache(SETTINGS).put([value()] * 3, create=True)


def test_every_connection_counts(server: Server) -> None:
    redis = RedisCache(SETTINGS)
    epochs = [redis.epoch]
    for _ in range(2):
        server.connect()
        epochs.append(redis.epoch)
    assert len({*epochs}) == 3


def test_nothing_is_run_that_the_processor_may_not_run(server: Server) -> None:
    redis = RedisCache(SETTINGS)
    redis.is_complete()
    redis.finish(redis.begin())
    redis.put([value()], create=True)
    assert server.used <= ALLOWED
    called = set(re.findall(r"redis\.call\('(\w+)'", PUT + FINISH))
    assert called <= ALLOWED_IN_SCRIPTS


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (AuthenticationError("bad"), redis.CredentialsRefused, "^Redis refused the credentials$"),
        (NoPermissionError("not 'get'"), redis.NotAllowed, "not 'get'"),
        (NoConnection("Error 111\nsecond line"), redis.CacheUnreachable, "Error 111$"),
        (NoAnswer(), redis.CacheUnreachable, "TimeoutError$"),
    ],
)
def test_what_is_wrong_is_one_clear_line(
    error: RedisError, kind: type[Exception], text: str
) -> None:
    found = redis.explain(error)
    assert type(found) is kind
    assert re.search(text, str(found))
