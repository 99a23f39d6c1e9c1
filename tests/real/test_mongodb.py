"""MongoDB, asked what the tests' databases are asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from pymongo import MongoClient
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
from services.tests.contracts.mongodb_admin import Administration, Fresh
from services.tests.contracts.stored_events import (
    FEED,
    Holding,
    Newest,
    Past,
    Reading,
    Whereabouts,
    Writing,
)

from millrace.api import store as api
from millrace.feeds import FEEDS
from millrace.processor.sinks.mongodb import MongoStore

NAME = "contracts"


@pytest.fixture
def store(mongodb: MongoClient[dict[str, Any]]) -> MongoStore:
    """With every collection there and empty."""
    made = MongoStore(mongodb, NAME)
    made.prepare(FEEDS.values())
    for feed in FEEDS.values():
        mongodb[NAME][feed.collection].delete_many({})
    return made


class TestProcessorsStore(Past, Whereabouts, Writing):
    @pytest.fixture
    def holding(self, store: MongoStore) -> Holding:
        def hold(documents: Sequence[dict[str, Any]]) -> Any:
            if documents:
                assert store.insert(FEED.collection, documents).stored
            return store

        return hold


class TestApisStore(Reading):
    @pytest.fixture
    def holding(self, store: MongoStore, mongodb: MongoClient[dict[str, Any]]) -> Holding:
        def hold(documents: Sequence[dict[str, Any]]) -> Any:
            for one in documents:
                store.insert(FEEDS[one["feed"]].collection, [one])
            return api.MongoStore(mongodb[NAME])

        return hold


class TestNewest(Newest):
    @pytest.fixture
    def collection(self, store: MongoStore, mongodb: MongoClient[dict[str, Any]]) -> Any:
        found = mongodb[NAME][FEED.collection]
        found.insert_many(Symbols(*self.NAMES).documents)
        return found


class TestConditions(Conditions):
    @pytest.fixture
    def found(self, mongodb: MongoClient[dict[str, Any]]) -> Found:
        collection = mongodb[NAME]["conditions"]
        collection.delete_many({})

        def find(documents: Sequence[dict[str, Any]], condition: dict[str, Any]) -> list[str]:
            collection.insert_many(documents)
            return [one["_id"] for one in collection.find(condition)]

        return find


class TestPipelines(Pipelines):
    @pytest.fixture
    def made(self, mongodb: MongoClient[dict[str, Any]]) -> Made:
        collection = mongodb[NAME]["pipelines"]

        def make(
            documents: Sequence[dict[str, Any]], pipeline: list[dict[str, Any]]
        ) -> list[dict[str, Any]]:
            collection.delete_many({})
            collection.insert_many(documents)
            return [*collection.aggregate(pipeline)]

        return make


class TestCounting(Counting, Listing):
    @pytest.fixture
    def listed(self, mongodb: MongoClient[dict[str, Any]]) -> Any:
        mongodb[NAME]["fruits"].delete_many({})
        mongodb[NAME]["fruits"].insert_many([*FRUITS, SMALLER])
        return mongodb[NAME]

    @pytest.fixture
    def collection(self, listed: Any) -> Any:
        return listed["fruits"]


class TestAdministration(Administration):
    @pytest.fixture
    def fresh(self, fresh_mongodb: str) -> Fresh:
        def connect(database: str, name: str, password: str) -> MongoClient[dict[str, Any]]:
            login = {"username": name, "password": password, "authSource": database}
            return MongoClient(fresh_mongodb, directConnection=True, **(login if name else {}))

        return connect, fresh_mongodb
