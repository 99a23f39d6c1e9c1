"""The cache port on Redis: two small scripts that keep late events from replacing newer ones."""

import hashlib
import secrets
from collections.abc import Iterable, Sequence
from typing import Any

from redis.exceptions import NoScriptError, RedisError

from millrace.clients import redis
from millrace.clients.latest_values import COMPLETE, Latest, price_key, quote_key
from millrace.config import Settings
from millrace.processor.errors import Transient
from millrace.processor.ports import Kept

PUT = """
local there = redis.call('EXISTS', KEYS[1], KEYS[2]) == 2
if not there and ARGV[5] == '0' then return 2 end
local known, new = tonumber(redis.call('HGET', KEYS[2], 'ts_ms')), tonumber(ARGV[1])
if known and (known > new or known == new and there) then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
redis.call('HSET', KEYS[2], 'ts_ms', ARGV[1], 'price', ARGV[2], 'quote', ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
redis.call('PEXPIRE', KEYS[2], ARGV[4])
return 1
"""
"""Keys: price, quote. Arguments: event time in ms, price, event, time to live in ms, whether to
create missing values. Of two events with the same time the first is kept."""

FINISH = """
local found = redis.call('GET', KEYS[1])
if found ~= ARGV[1] and found ~= ARGV[2] then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
return 1
"""
"""Key: the mark. Arguments: the mark set by `begin`, the mark of a complete cache."""

DONE = "1"
AT_ONCE = 500


class RedisCache:
    """See processor.ports.Cache."""

    def __init__(self, settings: Settings) -> None:
        self._client = redis.client(settings, self._connected)
        self._ttl_ms = 1000 * settings.redis_ttl_seconds
        self.epoch = 0

    def is_complete(self) -> bool:
        """See processor.ports.Cache."""
        with _Kinds():
            return bool(self._client.get(COMPLETE) == DONE)

    def begin(self) -> str:
        """See processor.ports.Cache."""
        mark = f"filling since {secrets.token_hex(8)}"
        with _Kinds():
            self._client.set(COMPLETE, mark, nx=True)
            # Another processor that has started earlier has set its own mark.
            return str(self._client.get(COMPLETE))

    def finish(self, mark: str) -> bool:
        """See processor.ports.Cache."""
        return self._run(FINISH, [((COMPLETE,), (mark, DONE))]) == [1]

    def put(self, values: Sequence[Latest], *, create: bool) -> list[Kept]:
        """See processor.ports.Cache."""
        calls = [
            (
                (price_key(value.symbol), quote_key(value.symbol)),
                (value.ts_ms, value.price, value.quote, self._ttl_ms, int(create)),
            )
            for value in values
        ]
        return [
            Kept(answer)
            for start in range(0, len(calls), AT_ONCE)
            for answer in self._run(PUT, calls[start : start + AT_ONCE])
        ]

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def _connected(self) -> None:
        self.epoch += 1

    def _run(
        self, script: str, calls: Sequence[tuple[Sequence[str], Sequence[str | int]]]
    ) -> list[Any]:
        """The script's answers to all calls, in one round trip that is repeated if it is gone."""
        with _Kinds():
            answers = self._try(script, calls)
            if any(isinstance(answer, NoScriptError) for answer in answers):
                self._client.script_load(script)
                answers = self._try(script, calls)
            _raise_first(answers)
            return answers

    def _try(
        self, script: str, calls: Iterable[tuple[Sequence[str], Sequence[str | int]]]
    ) -> list[Any]:
        name = hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest()
        with self._client.pipeline(transaction=False) as pipeline:
            for keys, arguments in calls:
                pipeline.evalsha(name, len(keys), *keys, *arguments)
            return list(pipeline.execute(raise_on_error=False))


def _raise_first(answers: Iterable[Any]) -> None:
    for answer in answers:
        if isinstance(answer, Exception):
            raise answer


class _Kinds:
    """All errors of Redis are transient: the processor continues without it."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: Any, error: BaseException | None, _trace: Any) -> None:
        if isinstance(error, RedisError):
            raise Transient(str(redis.explain(error))) from error
