"""The tests' databases are as MongoDB: see contracts.stored_events, which tests/real asks."""

from collections.abc import Sequence
from typing import Any

import pytest
from services.tests.api.world import MemoryStore
from services.tests.base.test_mongo import Symbols
from services.tests.contracts.conditions import Conditions, Found, Made, Pipelines
from services.tests.contracts.stored_events import (
    FEED,
    Holding,
    Newest,
    Past,
    Reading,
    Whereabouts,
    Writing,
)
from services.tests.mongo import aggregated, matches
from services.tests.processor.cache import Quotes
from services.tests.processor.world import World
from services.tests.sinks.test_past import Collection

from millrace.sinks.mongodb import MongoStore


class TestProcessorsWorld(Past, Whereabouts, Writing):
    @pytest.fixture(params=[lambda: World(2), Quotes])
    def holding(self, request: pytest.FixtureRequest) -> Holding:
        def hold(documents: Sequence[dict[str, Any]]) -> Any:
            store = request.param()
            store.insert(FEED.collection, documents)
            return store

        return hold


class TestCollection(Past, Whereabouts):
    @pytest.fixture
    def holding(self) -> Holding:
        def hold(documents: Sequence[dict[str, Any]]) -> Any:
            client: Any = {"millrace": {FEED.collection: Collection(*documents)}}
            return MongoStore(client, "millrace")

        return hold


class TestMemoryStore(Reading):
    @pytest.fixture
    def holding(self) -> Holding:
        return MemoryStore


class TestSymbols(Newest):
    @pytest.fixture
    def collection(self) -> Symbols:
        return Symbols(*self.NAMES)


class TestMatches(Conditions):
    @pytest.fixture
    def found(self) -> Found:
        return lambda documents, wanted: [d["_id"] for d in documents if matches(d, wanted)]


class TestAggregated(Pipelines):
    @pytest.fixture
    def made(self) -> Made:
        return lambda documents, pipeline: [dict(one) for one in aggregated(documents, pipeline)]
