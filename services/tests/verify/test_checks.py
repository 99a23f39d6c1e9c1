"""Checks of a part: what is asked, and what of the answers is as it has to be."""

import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaAdminClient
from kafka.errors import KafkaTimeoutError
from pymongo.collection import Collection as MongoCollection
from pymongo.database import Database as MongoDatabase
from pymongo.errors import ServerSelectionTimeoutError
from services.tests.broker import certificate
from services.tests.stands import standing_for, stands_for

from millrace.clients import kafka, lag, services
from millrace.clients.lag import PartitionLag
from millrace.clients.services import Peer
from millrace.config import Settings
from millrace.errors import MillraceError
from millrace.feeds import FEEDS
from millrace.feeds.base import BY_LOG_POSITION, BY_LOG_SERIES
from millrace.verify import checks
from millrace.verify.checks import Check
from millrace.verify.data import stored
from millrace.verify.health import cluster, processor, replica_set


def failed(found: list[Check]) -> list[tuple[str, str]]:
    return [(check.name, check.found) for check in found if not check.ok]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (KafkaTimeoutError("no broker"), "KafkaTimeoutError: no broker"),
        (ServerSelectionTimeoutError("x, Topology Description: y"), "MongoDB does not answer: x"),
        (MillraceError("one line\nmore"), "one line"),
        (ConnectionRefusedError(), "ConnectionRefusedError"),
    ],
)
def test_who_does_not_answer_is_a_check_that_failed(error: Exception, said: str) -> None:
    def ask() -> list[Check]:
        raise error

    assert checks.attempt("server", "answers", ask) == [Check("server", "answers", said, ok=False)]


def test_nothing_checked_is_nothing_proven() -> None:
    good, bad = Check("a", "b", "c", ok=True), Check("a", "b", "c", ok=False)
    assert checks.report("p", [good]).ok
    assert not checks.report("p", [good, bad]).ok
    assert not checks.report("p", []).ok


@pytest.fixture
def tls_server(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A server with a certificate for localhost, and that certificate."""
    pem = certificate(tmp_path, "localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            plain, _ = listener.accept()
            try:
                context.wrap_socket(plain, server_side=True).close()
            except OSError:
                plain.close()

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"localhost:{listener.getsockname()[1]}", pem
        thread.join()


def test_a_port_is_reached_over_tls(tls_server: tuple[str, Path]) -> None:
    server, pem = tls_server
    assert checks.reached(server, pem, "answers") == [Check(server, "answers", "TLSv1.3", ok=True)]


def test_a_port_with_another_authority_is_not(tls_server: tuple[str, Path], tmp_path: Path) -> None:
    server, _ = tls_server
    other = certificate(tmp_path, "other")
    [found] = checks.reached(server, other, "answers")
    assert not found.ok
    assert "certificate" in found.found


def partition(number: int, replicas: int = 3, isr: int = 3, leader: int = 1) -> dict[str, Any]:
    return {
        "partition_index": number,
        "leader_id": leader,
        "replica_nodes": list(range(replicas)),
        "isr_nodes": list(range(isr)),
    }


def compare(*partitions: dict[str, Any], wanted: int = 2) -> list[tuple[str, str]]:
    topic = {"name": "t", "partitions": list(partitions)}
    return failed(cluster.compare({"t": wanted}, [topic], 3))


def test_a_topic_as_declared_passes_and_one_that_has_grown() -> None:
    assert compare(partition(0), partition(1)) == []
    assert compare(partition(0), partition(1), partition(2)) == []


@pytest.mark.parametrize(
    ("partitions", "expected"),
    [
        ((), ("exists", "there is no such topic, or no right to see it")),
        ((partition(0),), ("partitions, 2 or more", "1")),
        ((partition(0), partition(1, replicas=1, isr=1)), ("3 replicas", "1 or 3")),
        ((partition(1, isr=2), partition(0, isr=2)), ("in-sync sets full", "not full: 0, 1")),
        ((partition(0), partition(1, leader=-1)), ("leaders", "none for 1")),
    ],
)
def test_a_topic_that_differs_is_found(
    partitions: tuple[dict[str, Any], ...], expected: tuple[str, str]
) -> None:
    assert compare(*partitions) == [expected]


def test_the_topics_are_those_of_the_feeds_of_their_alerts_and_of_dead_letters() -> None:
    assert cluster.topics(Settings(feeds=["metals", "stocks"])) == {
        "metal-prices": 3,
        "stock-data": 3,
        "stock-alerts": 1,
        "dead-letters": 1,
    }


def test_brokers_that_are_down_are_in_the_report(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any, **__: Any) -> None:
        raise ConnectionRefusedError("refused")

    monkeypatch.setattr(socket, "create_connection", refused)
    settings = Settings(
        kafka_bootstrap_servers="kafka-1:9092, kafka-2:9092",
        kafka_username="operator",
        kafka_password="x",  # type: ignore[arg-type]
    )
    found = cluster.verify(settings)
    assert not found.ok
    assert [check.about for check in found.checks] == ["kafka-1:9092", "kafka-2:9092", "topics"]


PRIMARY = {"setName": "rs0", "isWritablePrimary": True, "primary": "a:1"}
SECONDARY = {"setName": "rs0", "secondary": True, "primary": "a:1"}


@pytest.mark.parametrize(
    ("state", "ok", "said"),
    [
        (PRIMARY, True, "primary of rs0"),
        (SECONDARY, True, "secondary of rs0"),
        ({**PRIMARY, "setName": "rs1"}, False, "primary of rs1"),
        ({"setName": "rs0"}, False, "neither of rs0"),
        ({}, False, "neither of no set"),
    ],
)
def test_a_member_serves_if_it_has_a_role_in_the_set(
    state: dict[str, Any], ok: bool, said: str
) -> None:
    assert replica_set.serving("a:1", state, "rs0") == Check("a:1", "serves", said, ok)


def test_all_members_name_one_primary_that_is_among_them() -> None:
    assert replica_set.primaries({"a": PRIMARY, "b": SECONDARY}).ok
    assert not replica_set.primaries({"b": SECONDARY}).ok
    assert not replica_set.primaries({"a": PRIMARY, "b": {**SECONDARY, "primary": "b:1"}}).ok
    assert not replica_set.primaries({}).ok


@stands_for(MongoCollection)
class FakeCollection:
    """A collection with some indexes."""

    def __init__(self, indexes: dict[str, Any], documents: list[dict[str, Any]]) -> None:
        self.indexes = indexes
        self.documents = documents

    def estimated_document_count(self) -> int:
        return len(self.documents)

    def index_information(self) -> dict[str, Any]:
        return self.indexes

    def distinct(self, field: str) -> list[Any]:
        return [*dict.fromkeys(one[field] for one in self.documents if field in one)]


@stands_for(MongoDatabase)
class FakeDatabase(dict[str, FakeCollection]):
    """Collections in memory."""

    def list_collection_names(self) -> list[str]:
        return [*self]


# As the driver gives them: directions that went through JSON once may be floats.
INDEXES = {
    "_id_": {"key": [("_id", 1)]},
    "a": {"key": [("symbol", 1.0), ("timestamp_utc", -1.0)]},
    "b": {"key": [("timestamp_utc", -1), ("_id", -1)]},
    "c": {"key": [("kafka.partition", 1), ("kafka.offset", 1)]},
    "d": {
        "key": [
            ("source", 1),
            ("symbol", 1),
            ("kafka.partition", 1),
            ("timestamp_utc", -1),
            ("kafka.offset", 1),
        ]
    },
    "e": {"key": [("claimed_at", 1)], "sparse": True},
    "f": {"key": [*BY_LOG_SERIES.keys], "partialFilterExpression": {}},
    "g": {"key": [*BY_LOG_POSITION.keys], "partialFilterExpression": {}},
}


def test_a_collection_has_the_indexes_of_its_feed() -> None:
    database: Any = FakeDatabase(metal_prices=FakeCollection(INDEXES, [{}]))
    assert failed(replica_set.collections(database, ["metals"])) == []


def test_a_missing_index_and_a_missing_collection_are_found() -> None:
    less = {name: index for name, index in INDEXES.items() if name != "b"}
    database: Any = FakeDatabase(metal_prices=FakeCollection(less, []))
    assert failed(replica_set.collections(database, ["metals", "stocks"])) == [
        ("7 indexes", "missing: timestamp_utc -1, _id -1"),
        ("exists", "there is no such collection"),
    ]


@pytest.mark.parametrize("feed", ["gpu_metrics", "token_usage"])
def test_what_the_readers_of_a_feed_look_up_is_there(feed: str) -> None:
    seeded = [{"_id": "RTX 3090"}, {"_id": "A100 40GB"}, {"_id": "one of a user's"}]
    indexes = {"n": {"key": [("name", 1)]}, "g": {"key": [("gpu_index", 1)]}}

    def wrong(documents: list[dict[str, Any]], indexes: dict[str, Any]) -> list[tuple[str, str]]:
        own = {str(n): {"key": list(index.keys)} for n, index in enumerate(FEEDS[feed].indexes)}
        database: Any = FakeDatabase(
            {feed: FakeCollection(own, []), "gpus": FakeCollection(indexes, documents)}
        )
        return failed(replica_set.collections(database, [feed]))

    assert wrong(seeded, indexes) == []
    assert wrong(seeded[:1], indexes) == [("2 documents to start with", "missing: A100 40GB")]
    assert wrong(seeded, {"n": indexes["n"]}) == [("2 indexes", "missing: gpu_index 1")]


def group(state: str = "Stable", members: int = 1, error: str | None = None) -> dict[str, Any]:
    return {"error": error, "group_state": state, "members": [{}] * members}


def test_a_group_is_stable_and_has_members() -> None:
    assert failed(processor.group(group(), "g")) == []
    assert failed(processor.group(group("PreparingRebalance"), "g")) == [
        ("stable", "PreparingRebalance")
    ]
    assert failed(processor.group(group("Empty", 0), "g")) == [
        ("stable", "Empty"),
        ("has members", "0"),
    ]
    assert failed(processor.group(group(error="not allowed"), "g")) == [("stable", "not allowed")]


READY = Peer("processor", ready=True, says={"name": "processor-1", "feeds": ["metals"]})


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> Settings:
    admin = standing_for(
        KafkaAdminClient, describe_groups=lambda names: {names[0]: group()}, close=lambda: None
    )
    monkeypatch.setattr(kafka, "check_credentials", lambda _: None)
    monkeypatch.setattr(kafka, "admin", lambda *_, **__: admin)
    monkeypatch.setattr(lag, "read", lambda *_: [PartitionLag("metal-prices", 0, 10, 4)])
    monkeypatch.setattr(stored, "wait_for_group", lambda *_: None)
    monkeypatch.setattr(checks, "reached", lambda server, *_: [Check(server, "r", "TLS", ok=True)])
    monkeypatch.setattr(services, "ask", lambda *_: READY)
    says: dict[str, dict[str, Any]] = {"/health": {"status": "ok"}, "/gpu/info": {"gpus": [{}, {}]}}
    monkeypatch.setattr(
        services, "ask_api", lambda _, path="/health": Peer("api", True, says[path])
    )
    return Settings(feeds=["metals"])


def test_a_processor_that_works_passes(settings: Settings) -> None:
    found = processor.verify(settings)
    assert failed(found.checks) == []
    assert {check.about for check in found.checks} == {
        "processor", "group processor", "lag", "kafka-1:9092", "mongodb:27017", "api"
    }  # fmt: skip


def test_lag_that_is_not_worked_off_fails(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def late(*_: Any) -> None:
        raise MillraceError("the processor is 4 records behind after 180 s")

    monkeypatch.setattr(stored, "wait_for_group", late)
    assert failed(processor.verify(settings).checks) == [
        ("is worked off", "the processor is 4 records behind after 180 s")
    ]


def test_a_partition_that_nobody_reads_fails(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    behind = [PartitionLag("metal-prices", number, 10, 0, held=number > 0) for number in range(3)]
    monkeypatch.setattr(lag, "read", lambda *_: behind)
    assert failed(processor.verify(settings).checks) == [
        ("partitions are read", "nobody reads metal-prices/0")
    ]


def test_a_processor_for_other_feeds_or_that_is_not_ready_fails(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    not_ready = Peer("processor", ready=False, says={"feeds": [], "problem": "no partition"})
    monkeypatch.setattr(services, "ask", lambda *_: not_ready)
    monkeypatch.setattr(services, "ask_api", lambda _: Peer("api", False, {"problem": "silent"}))
    assert failed(processor.verify(settings).checks) == [
        ("ready", "no partition"),
        ("its feeds", "none"),
        ("/health", "silent"),
    ]


def test_the_api_is_asked_for_gpus_where_their_feed_is(settings: Settings) -> None:
    def asked(feeds: list[str]) -> list[Check]:
        found = processor.verify(settings.model_copy(update={"feeds": feeds})).checks
        return [check for check in found if check.name == "/gpu/info"]

    assert asked(["metals", "gpu_metrics"]) == [Check("api", "/gpu/info", "GPUs: 2", ok=True)]
    assert asked(["metals"]) == []


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Peer("api", False, {"detail": "No GPU has told anything yet."}), "No GPU has told"),
        (Peer("api", False, {"problem": "does not answer"}), "does not answer"),
        (Peer("api", True, {"gpus": []}), "no word"),
    ],
)
def test_an_api_that_knows_no_gpu_fails(answer: Peer, said: str) -> None:
    check = processor.gpus(answer)
    assert not check.ok
    assert check.found.startswith(said)
