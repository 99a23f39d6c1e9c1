"""The tests' caches are as Redis: tests/real asks the same of it."""

from typing import Any

import pytest
from services.tests.api import test_latest as api
from services.tests.contracts.latest_values import FIELDS, CachePort, Hashes, Strings
from services.tests.processor.cache import MemoryCache
from services.tests.sinks import test_redis


class TestMemoryCache(CachePort):
    @pytest.fixture
    def cache(self) -> Any:
        return MemoryCache()


class TestServerOfStrings(Strings):
    @pytest.fixture
    def client(self) -> Any:
        return test_redis.Server()


class TestServerOfHashes(Hashes):
    @pytest.fixture
    def client(self) -> Any:
        server = api.Server()
        server.hashes["last_quote:A"] = dict(FIELDS)
        return server
