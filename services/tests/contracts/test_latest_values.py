"""The tests' caches are as Redis: tests/real asks the same of it."""

from typing import Any

import pytest
from services.tests.api import test_latest as api
from services.tests.clients import test_latest_values
from services.tests.contracts.latest_values import FIELDS, CachePort, Hashes, Strings, Writing
from services.tests.processor.cache import MemoryCache
from services.tests.processor.sinks import test_redis, test_redis_guard


class TestMemoryCache(CachePort):
    @pytest.fixture
    def cache(self) -> Any:
        return MemoryCache()


class TestStrings(Strings):
    @pytest.fixture(params=[test_redis.Server, test_redis_guard.interpreter])
    def client(self, request: pytest.FixtureRequest) -> Any:
        return request.param()


class TestServerOfHashes(Hashes):
    @pytest.fixture
    def client(self) -> Any:
        server = api.Server()
        server.hashes["last_quote:A"] = dict(FIELDS)
        return server


class TestReader(Hashes):
    @pytest.fixture
    def client(self) -> Any:
        return test_latest_values.Client(**{"last_quote:A": FIELDS})


class TestFakeRedis(Writing, Hashes):
    @pytest.fixture
    def cache(self) -> Any:
        return test_redis_guard.writing(test_redis_guard.interpreter())

    @pytest.fixture
    def client(self) -> Any:
        server = test_redis_guard.interpreter()
        server.hset("last_quote:A", mapping=FIELDS)
        return server
