"""The MongoDB store: what each answer of the server means."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import bson
import pytest
from pymongo.collection import Collection as MongoCollection
from pymongo.database import Database
from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    DocumentTooLarge,
    NetworkTimeout,
    NotPrimaryError,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
    WriteConcernError,
)
from services.tests.stands import stands_for

from millrace.feeds import FEEDS
from millrace.feeds.base import BY_TIME, Index
from millrace.processor.batch import Inserted
from millrace.processor.errors import Permanent, Transient, Unknown
from millrace.processor.sinks.mongodb import LARGEST_DOCUMENT, MongoStore

DUPLICATE = {"code": 11000, "keyPattern": {"_id": 1}, "errmsg": "dup"}
NOT_PRIMARY, DISK_FULL = 10107, 14031


@stands_for(MongoCollection)
class Collection:
    """Fails as told; else takes everything."""

    def __init__(self, *answers: Exception | None) -> None:
        self.answers = list(answers)
        self.inserted: list[Any] = []
        self.indexes: list[Any] = []
        self.stored: list[dict[str, Any]] = []

    def insert_many(self, documents: Sequence[dict[str, Any]], *, ordered: bool) -> None:
        assert not ordered, "one duplicate would hold up all behind it"
        error = self.answers.pop(0) if self.answers else None
        if error:
            raise error
        self.inserted += [document["_id"] for document in documents]

    def create_indexes(self, models: list[Any], **options: str) -> None:
        assert options == {"commitQuorum": "majority"}, "a member that is away would be waited for"
        self.indexes += [model.document for model in models]

    def replace_one(self, found: Any, document: dict[str, Any], *, upsert: bool) -> None:
        assert upsert
        assert found == {"_id": document["_id"]}
        self.stored = [d for d in self.stored if d["_id"] != document["_id"]] + [document]

    def find(self, condition: Any, *, max_time_ms: int) -> list[dict[str, Any]]:
        assert max_time_ms < 30_000, "the socket would be the first to lose patience"
        return [d for d in self.stored if d["_id"] in condition["_id"]["$in"]]


def store(collection: Any) -> MongoStore:
    names = [*(feed.collection for feed in FEEDS.values()), "gpus"]
    client: Any = {"millrace": dict.fromkeys(names, collection)}
    return MongoStore(client, "millrace")


def insert(*answers: Exception | None, documents: int = 4) -> Inserted:
    ids = [{"_id": str(number)} for number in range(documents)]
    return store(Collection(*answers)).insert("stock_data", ids)


def bulk(*failures: dict[str, Any], concern: dict[str, Any] | None = None) -> BulkWriteError:
    errors = [concern] if concern else []
    return BulkWriteError({"writeErrors": list(failures), "writeConcernErrors": errors})


def test_what_is_new_is_stored() -> None:
    assert insert() == Inserted(4)


def test_a_duplicate_id_is_success() -> None:
    answer = bulk({"index": 0, **DUPLICATE}, {"index": 3, **DUPLICATE})
    assert insert(answer) == Inserted(2, frozenset({0, 3}))


def test_a_duplicate_of_another_key_is_not() -> None:
    other = {"index": 1, "code": 11000, "keyPattern": {"symbol": 1}, "errmsg": "dup symbol"}
    assert insert(bulk(other)) == Inserted(3, rejected={1: "dup symbol"})


@pytest.mark.parametrize("code", [2, 52, 121, 10334])
def test_a_document_that_the_server_never_takes_is_rejected_alone(code: int) -> None:
    answer = bulk({"index": 2, "code": code, "errmsg": "no"}, {"index": 0, **DUPLICATE})
    assert insert(answer) == Inserted(2, frozenset({0}), {2: "no"})


@pytest.mark.parametrize("code", [NOT_PRIMARY, DISK_FULL, 11600, 91, 112])
def test_what_is_wrong_with_the_server_passes(code: int) -> None:
    answer = bulk({"index": 0, **DUPLICATE}, {"index": 1, "code": code, "errmsg": "trouble"})
    with pytest.raises(Transient, match="trouble"):
        insert(answer)


@pytest.mark.parametrize("code", [1, 8, 13, 20, 4_711])
def test_of_any_other_failure_no_kind_is_known(code: int) -> None:
    answer = bulk({"index": 0, **DUPLICATE}, {"index": 1, "code": code, "errmsg": "trouble"})
    with pytest.raises(Unknown, match=rf"trouble \(code {code}\)"):
        insert(answer)
    with pytest.raises(Unknown, match="trouble"):
        insert(OperationFailure("trouble", code))


def test_what_is_no_answer_of_the_server_has_no_kind_either() -> None:
    with pytest.raises(Unknown, match=r"anything \(PyMongoError\)"):
        insert(PyMongoError("anything"))


def test_what_a_majority_has_not_acknowledged_is_not_stored() -> None:
    with pytest.raises(Transient, match="timed out"):
        insert(bulk(concern={"code": 64, "errmsg": "waiting for replication timed out"}))
    with pytest.raises(Transient):
        insert(bulk({"index": 0, **DUPLICATE}, concern={"code": 64, "errmsg": "timed out"}))


@pytest.mark.parametrize(
    "error",
    [
        AutoReconnect("reset"),
        NetworkTimeout("slow"),
        NotPrimaryError("election"),
        ServerSelectionTimeoutError("nobody"),
        WriteConcernError("timed out", 64),
        OperationFailure("stepping down", 189),
        OperationFailure("new", 4_711, {"errorLabels": ["RetryableWriteError"]}),
    ],
)
def test_an_absent_server_is_a_transient_error(error: Exception) -> None:
    with pytest.raises(Transient):
        insert(error)


def test_refused_credentials_are_a_permanent_error() -> None:
    with pytest.raises(Permanent, match="credentials"):
        insert(OperationFailure("refused", 18))


def test_a_document_without_a_bson_form_does_not_hold_up_the_others() -> None:
    collection = Collection(OverflowError("8-byte ints"), bulk({"index": 1, **DUPLICATE}))
    documents: list[dict[str, Any]] = [{"_id": str(number)} for number in range(4)]
    documents[1]["volume"] = 2**63
    result = store(collection).insert("stock_data", documents)
    assert (result.stored, result.duplicates) == (2, frozenset({2}))
    assert list(result.rejected) == [1]


def test_all_being_without_a_bson_form_asks_nothing_of_the_server() -> None:
    collection = Collection(OverflowError("8-byte ints"))
    result = store(collection).insert("stock_data", [{"_id": "a", "volume": 2**63}])
    assert result.stored == 0
    assert list(result.rejected) == [0]


def test_what_is_stored_with_an_id() -> None:
    def document(name: str, offset: int) -> dict[str, Any]:
        return {"_id": name, "kafka": {"topic": "t", "partition": 0, "offset": offset}}

    collection = Collection()
    collection.stored = [document("a", 1), document("b", 2)]
    found = store(collection).stored("stock_data", ["a", "c"])
    assert found == {"a": document("a", 1)}


def test_the_indexes_of_a_feed_are_created() -> None:
    collection = Collection()
    feed = FEEDS["stocks"]
    store(collection).prepare([feed])
    keys = [tuple(index["key"].items()) for index in collection.indexes]
    assert keys == [index.keys for index in feed.indexes]


def test_what_a_feed_refers_to_is_kept_as_its_data_says() -> None:
    collection = Collection()
    collection.stored = [{"_id": "A100 40GB", "price_per_hour_usd": 1.0}, {"_id": "own"}]
    for _ in range(2):
        store(collection).prepare([FEEDS["gpu_metrics"], FEEDS["token_usage"]])
    prices = {d["_id"]: d.get("price_per_hour_usd") for d in collection.stored}
    assert prices == {"own": None, "RTX 3090": 0.85, "A100 40GB": 3.2}
    keys = [tuple(index["key"].items()) for index in collection.indexes]
    assert (("name", 1),) in keys
    assert (("gpu_index", 1),) in keys


def test_an_index_has_those_documents_that_its_feed_says() -> None:
    rare, part = Index((("a", 1),), sparse=True), Index((("b", 1),), only_with="c")
    collection = Collection()
    feed = replace(FEEDS["stocks"], indexes=(BY_TIME, rare, part))
    store(collection).prepare([feed])
    limited = ("sparse", "partialFilterExpression")
    assert [{n: i[n] for n in limited if i.get(n)} for i in collection.indexes] == [
        {},
        {"sparse": True},
        {"partialFilterExpression": {"c": {"$exists": True}}},
    ]


def test_a_document_of_the_largest_size_is_stored_and_one_byte_more_is_not() -> None:
    def document(size: int) -> dict[str, Any]:
        empty = len(bson.encode({"_id": "a", "text": ""}))
        return {"_id": "a", "text": "x" * (size - empty)}

    collection = Collection(DocumentTooLarge("says the library"))
    assert store(collection).insert("stock_data", [document(LARGEST_DOCUMENT)]) == Inserted(1)
    collection = Collection(DocumentTooLarge("says the library"))
    result = store(collection).insert("stock_data", [document(LARGEST_DOCUMENT + 1)])
    assert result == Inserted(0, rejected={0: "the document is larger than MongoDB allows"})


@stands_for(MongoCollection, Database)
class Primary:
    """What is asked about a database and its newest documents; fails as told."""

    def __init__(self, error: Exception | None = None) -> None:
        self.admin = self
        self.error = error
        self.asked: list[str] = []

    def __getitem__(self, name: str) -> Any:
        return self

    def command(self, name: str) -> None:
        self.asked.append(name)
        if self.error:
            raise self.error

    def aggregate(self, pipeline: list[dict[str, Any]], **options: int) -> Any:
        assert options["maxTimeMS"] < 30_000, "the socket would be the first to lose patience"
        if self.error:
            raise self.error
        wanted = pipeline[0]["$match"]["symbol"]
        names = sorted(n for n in ["A", "B"] if n in wanted.get("$in", ["A", "B"]))
        return iter([{"symbol": name} for name in names])


def test_the_primary_says_whether_it_is_there() -> None:
    client: Any = Primary()
    MongoStore(client, "millrace").ping()
    assert client.asked == ["ping"]
    client = Primary(AutoReconnect("reset"))
    with pytest.raises(Transient, match="reset"):
        MongoStore(client, "millrace").ping()


@pytest.mark.parametrize(("symbols", "found"), [(None, ["A", "B"]), (["B"], ["B"]), ([], [])])
def test_the_newest_documents_are_of_all_symbols_or_of_some(
    symbols: list[str] | None, found: list[str]
) -> None:
    client: Any = Primary()
    newest = MongoStore(client, "millrace").newest(FEEDS["quotes"], symbols)
    assert [document["symbol"] for document in newest] == found


def test_what_is_wrong_while_the_newest_are_read_has_its_kind() -> None:
    client: Any = Primary(AutoReconnect("reset"))
    with pytest.raises(Transient, match="reset"):
        list(MongoStore(client, "millrace").newest(FEEDS["quotes"], None))
