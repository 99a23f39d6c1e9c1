"""The tests' databases are as MongoDB: see contracts.stored_events, which tests/real asks."""

from collections.abc import Sequence
from typing import Any

import pytest
from services.tests.api.database import Collection as ApiCollection
from services.tests.api.database import Database
from services.tests.clients.test_mongodb import Symbols
from services.tests.contracts.conditions import (
    FRUITS,
    SMALLER,
    Conditions,
    Counting,
    Found,
    Listing,
    Made,
    Pipelines,
)
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
from services.tests.processor.sinks.test_past import Collection
from services.tests.processor.world import World
from services.tests.verify import test_checks
from services.tests.watch import test_status

from millrace.api.store import MongoStore as ApiStore
from millrace.processor.sinks.mongodb import MongoStore


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


class TestDatabase(Reading):
    @pytest.fixture
    def holding(self) -> Holding:
        def hold(documents: Sequence[dict[str, Any]]) -> Any:
            database: Any = Database(*documents)
            return ApiStore(database)

        return hold


class TestApiCollection(Newest):
    @pytest.fixture
    def collection(self) -> ApiCollection:
        return ApiCollection(Symbols(*self.NAMES).documents)


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


class TestCounting(Counting):
    @pytest.fixture
    def collection(self) -> Any:
        return test_status.FakeCollection("fruits", [*FRUITS, SMALLER])


class TestListing(Listing):
    @pytest.fixture
    def listed(self) -> Any:
        indexes = {"_id_": test_checks.INDEXES["_id_"]}
        fruits = test_checks.FakeCollection(indexes, [*FRUITS, SMALLER])
        return test_checks.FakeDatabase(fruits=fruits)
