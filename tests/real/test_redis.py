"""Redis, asked what the tests' caches are asked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from redis import Redis
from services.tests.broker import certificate
from services.tests.contracts.latest_values import FIELDS, CachePort, Hashes, Strings

from millrace.clients import redis as connections
from millrace.config import Settings
from millrace.processor.sinks.redis import RedisCache


@pytest.fixture
def client(redis_port: int) -> Iterator[Any]:
    with Redis(port=redis_port, decode_responses=True, protocol=2) as made:
        made.flushall()
        made.script_flush()
        yield made


class TestCache(CachePort):
    @pytest.fixture
    def cache(
        self, client: Any, redis_port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> Iterator[RedisCache]:
        make = connections.client
        monkeypatch.setattr(
            connections, "client", lambda settings, seen: make(settings, seen, ssl=False)
        )
        made = RedisCache(
            Settings(
                redis_host="127.0.0.1",
                redis_port=redis_port,
                redis_username="default",
                redis_password=SecretStr("none"),
                redis_ca_file=certificate(tmp_path, "redis"),
            )
        )
        yield made
        made.close()


class TestStrings(Strings):
    pass


class TestHashes(Hashes):
    @pytest.fixture(autouse=True)
    def _fields(self, client: Any) -> None:
        client.hset("last_quote:A", mapping=FIELDS)
