"""Redis clients from the settings, and the reason in one line why one cannot be used."""

import ssl
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError
from redis.retry import Retry

from millrace.clients import authority
from millrace.clients.latest_values import PRICE, QUOTE, TIME, Latest, price_key, quote_key
from millrace.config import Settings
from millrace.errors import MillraceError

LIMIT_SECONDS = 2.0


class CredentialsRefused(MillraceError):
    """Redis answered and refused this user with this password."""


class NotAllowed(MillraceError):
    """Redis denies this user this action."""


class CacheUnreachable(MillraceError):
    """Redis did not answer in time, or sent an unexpected answer."""


def client(
    settings: Settings, on_connect: Callable[[], None] = lambda: None, **overrides: Any
) -> redis.Redis:
    """A client that fails at once instead of retrying; it connects at its first use.

    `on_connect` is called for each new connection, because the server may have lost its data.
    """
    settings.require("redis_host", "redis_username", "redis_password")
    authority.check(settings, "redis_ca_file")

    def connected(connection: Any) -> None:
        connection.on_connect()
        on_connect()

    options: dict[str, Any] = {
        "host": settings.redis_host,
        "port": settings.redis_port,
        "username": settings.redis_username,
        "password": settings.redis_password.get_secret_value(),
        "ssl": True,
        "ssl_ca_certs": str(settings.redis_ca_file),
        "ssl_min_version": ssl.TLSVersion.TLSv1_2,
        "socket_connect_timeout": LIMIT_SECONDS,
        "socket_timeout": LIMIT_SECONDS,
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,
        "decode_responses": True,
        "redis_connect_func": connected,
    }
    return redis.Redis(**(options | overrides))


def check(connection: redis.Redis) -> None:
    """Log in; raise a one-line error if that is impossible."""
    try:
        connection.ping()
    except RedisError as error:
        raise explain(error) from error


def value(connection: redis.Redis, symbol: str) -> Latest | None:
    """The latest value of a symbol, if any. Raises RedisError."""
    return _latest(symbol, connection.hmget(quote_key(symbol), TIME, PRICE, QUOTE))


def values(
    connection: redis.Redis, symbols: Iterable[str]
) -> list[tuple[Latest | None, str | None]]:
    """The latest value of each symbol, and the separate price, in one round trip. RedisError."""
    names = list(symbols)
    with connection.pipeline(transaction=False) as pipeline:
        for symbol in names:
            pipeline.hmget(quote_key(symbol), TIME, PRICE, QUOTE)
            pipeline.get(price_key(symbol))
        answers = pipeline.execute()
    return [
        (_latest(symbol, hash_), None if price is None else str(price))
        for symbol, hash_, price in zip(names, answers[::2], answers[1::2], strict=True)
    ]


def has_evicted(connection: redis.Redis) -> bool:
    """Whether Redis has evicted values since it started, because it was full. RedisError."""
    return bool(connection.info("stats")["evicted_keys"])


def _latest(symbol: str, answer: Sequence[Any]) -> Latest | None:
    time, number, quote = answer
    return None if time is None else Latest(symbol, int(time), str(number), str(quote))


def explain(error: RedisError) -> MillraceError:
    """The error in one line."""
    if isinstance(error, AuthenticationError):
        return CredentialsRefused("Redis refused the credentials")
    text = str(error).partition("\n")[0] or type(error).__name__
    if isinstance(error, NoPermissionError):
        return NotAllowed(f"Redis does not allow it: {text}")
    return CacheUnreachable(f"Redis does not answer: {text}")
