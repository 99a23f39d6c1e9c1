"""What feeds need of Kafka and MongoDB: all of it, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from types import ModuleType

import pytest
from ansible.errors import AnsibleFilterError
from tests.ansible.conftest import ROOT, load

from millrace.clients.topic_ids import COLLECTION
from millrace.feeds import FEEDS

BY_KAFKA_S_CLOCK = {"message.timestamp.type": "LogAppendTime"}


@pytest.fixture(scope="module")
def filters() -> ModuleType:
    return load(ROOT / "plugins/filter/feeds.py")


def test_a_feed_has_its_topic_and_that_of_its_alerts(filters: ModuleType) -> None:
    assert filters.feed_topics(["stocks"]) == [
        {"name": "stock-data", "partitions": 3, "config": BY_KAFKA_S_CLOCK},
        {"name": "stock-alerts", "partitions": 1, "config": BY_KAFKA_S_CLOCK},
    ]
    assert filters.feed_topics(["metals"]) == [
        {"name": "metal-prices", "partitions": 3, "config": BY_KAFKA_S_CLOCK}
    ]


def test_each_service_may_do_its_own_part_with_a_topic(filters: ModuleType) -> None:
    found = {
        (rule["principal"], rule["resource_name"], rule["operation"])
        for rule in filters.feed_acls(["stocks"])
    }
    assert found == {
        ("User:producer", "stock-data", "write"),
        ("User:processor", "stock-data", "read"),
        ("User:api", "stock-data", "describe"),
        ("User:api", "stock-data", "write"),
        ("User:operator", "stock-data", "read"),
        ("User:operator", "stock-data", "write"),
        ("User:archiver", "stock-data", "read"),
        ("User:processor", "stock-alerts", "write"),
        ("User:operator", "stock-alerts", "read"),
    }
    rules = filters.feed_acls([*FEEDS])
    assert {(rule["resource_type"], rule["pattern"]) for rule in rules} == {("topic", "literal")}


def test_the_processor_writes_to_the_collections_of_feeds_and_drops_nothing(
    filters: ModuleType,
) -> None:
    privileges = filters.feed_privileges([*FEEDS])
    *own, gpus, logs = privileges
    assert [p["collection"] for p in own] == [feed.collection for feed in FEEDS.values()]
    assert all(p["actions"] == ["find", "insert", "createIndex", "listIndexes"] for p in own)
    assert gpus["collection"] == "gpus"
    assert logs == {"collection": COLLECTION, "actions": ["find", "insert"]}
    assert {*gpus["actions"]} == {"find", "insert", "update", "createIndex", "listIndexes"}


def test_only_the_feeds_that_refer_to_the_gpus_may_touch_them(filters: ModuleType) -> None:
    for names, there in ((["stocks"], False), (["token_usage"], True)):
        found = [p["collection"] for p in filters.feed_privileges(names)]
        assert ("gpus" in found) is there


def test_feeds_that_redis_keeps_the_latest_of_are_named(
    filters: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, is_cached in (("kept", True), ("not-kept", False)):
        feed = replace(FEEDS["metals"], name=name, is_cached=is_cached)
        monkeypatch.setitem(FEEDS, name, feed)
    assert filters.feeds_cached(["kept", "not-kept"]) == ["kept"]
    assert filters.feeds_cached(["not-kept"]) == []


def test_a_feed_that_does_not_exist_is_named_with_those_that_do(filters: ModuleType) -> None:
    message = rf"no such feed: stonks \(known: {', '.join(FEEDS)}\)"
    functions = (filters.feed_topics, filters.feed_acls, filters.feed_privileges)
    for function in (*functions, filters.feeds_cached):
        with pytest.raises(AnsibleFilterError, match=message):
            function(["stocks", "stonks"])


def test_a_new_feed_is_enough_by_itself(
    filters: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = replace(FEEDS["metals"], name="new", topic="new-topic", collection="new_documents")
    monkeypatch.setitem(FEEDS, "new", new)
    (topic,) = filters.feed_topics(["new"])
    assert (topic["name"], topic["partitions"]) == ("new-topic", 3)
    assert {rule["resource_name"] for rule in filters.feed_acls(["new"])} == {"new-topic"}
    assert filters.feed_privileges(["new"])[0]["collection"] == "new_documents"


def test_producers_publish_to_feeds_that_are_consumed(filters: ModuleType) -> None:
    producers = [{"name": name, "feed": name} for name in ("stocks", "quotes")]
    assert filters.feed_problems(["stocks"], producers[:1]) == []
    assert filters.feed_problems(["stocks", "metals"], producers) == [
        "millrace_producers: quotes would publish to a feed that is not in millrace_feeds"
        " (stocks, metals): add the feed, or remove the producer",
    ]
