"""MongoDB clients: safe by default, and clear about why one cannot be used."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import SecretStr
from pymongo.collection import Collection as MongoCollection
from pymongo.database import Database
from pymongo.errors import (
    AutoReconnect,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
)
from services.tests.broker import Broker, certificate
from services.tests.stands import standing_for, stands_for

from millrace.clients import mongodb
from millrace.config import Settings
from millrace.errors import ConfigurationError, MillraceError
from millrace.feeds.base import TIME_FIELD


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        mongodb_hosts="one:27017, two:27018",
        mongodb_username="processor",
        mongodb_password=SecretStr("p/w:@"),
        mongodb_database="prices",
        mongodb_ca_file=tmp_path / "ca.pem",
    )


@pytest.fixture
def options(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the client is made with."""
    given: dict[str, Any] = {}

    def client(hosts: list[str], **options: Any) -> None:
        given.update(options, hosts=hosts)

    monkeypatch.setattr(mongodb, "MongoClient", client)
    return given


def test_writes_are_acknowledged_by_the_journals_of_a_majority(
    settings: Settings, options: dict[str, Any]
) -> None:
    mongodb.client(settings)
    assert (options["w"], options["journal"]) == ("majority", True)


def test_the_server_is_checked_and_so_are_we(settings: Settings, options: dict[str, Any]) -> None:
    mongodb.client(settings)
    assert options["tls"] is True
    assert options["tlsCAFile"] == str(settings.mongodb_ca_file)
    assert options["authMechanism"] == "SCRAM-SHA-256"
    assert (options["username"], options["password"]) == ("processor", "p/w:@")
    assert options["authSource"] == "prices"


@pytest.mark.parametrize(
    ("name", "trusted", "reason"),
    [
        ("localhost", "other", "certificate verify failed"),
        ("elsewhere", "own", "Hostname mismatch"),
    ],
)
def test_a_server_with_a_certificate_of_somebody_else_is_not_spoken_to(
    settings: Settings, tmp_path: Path, name: str, trusted: str, reason: str
) -> None:
    own = certificate(tmp_path, name)
    (tmp_path / "other").mkdir()
    authority = own if trusted == "own" else certificate(tmp_path / "other", name)
    server = Broker(own, silent=True)
    told = settings.model_copy(
        update={"mongodb_hosts": server.address, "mongodb_ca_file": authority}
    )
    try:
        with (
            mongodb.client(told, serverSelectionTimeoutMS=300) as connection,
            pytest.raises(mongodb.DatabaseUnreachable, match=reason),
        ):
            mongodb.check(connection)
    finally:
        server.close()


def test_all_members_are_asked_and_times_have_a_zone(
    settings: Settings, options: dict[str, Any]
) -> None:
    mongodb.client(settings)
    assert options["hosts"] == ["one:27017", "two:27018"]
    assert options["replicaSet"] == "rs0"
    assert options["tz_aware"] is True


def test_a_caller_may_decide_otherwise(settings: Settings, options: dict[str, Any]) -> None:
    mongodb.client(settings, serverSelectionTimeoutMS=100)
    assert options["serverSelectionTimeoutMS"] == 100


def test_without_credentials_there_is_no_client() -> None:
    with pytest.raises(ConfigurationError, match="the file /run/secrets/mongodb_password"):
        mongodb.client(Settings(mongodb_username="processor"))


def failing(error: Exception) -> Any:
    def command(_: str) -> None:
        raise error

    return SimpleNamespace(admin=standing_for(Database, command=command))


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (OperationFailure("no", 18), mongodb.CredentialsRefused, "credentials"),
        (OperationFailure("not authorized on x", 13), mongodb.NotAllowed, "not authorized on x"),
        (AutoReconnect("reset"), mongodb.DatabaseUnreachable, "reset"),
        (
            ServerSelectionTimeoutError("one:27017: refused, Topology Description: <much more>"),
            mongodb.DatabaseUnreachable,
            "one:27017: refused$",
        ),
    ],
)
def test_what_is_wrong_is_one_clear_line(
    error: Exception, kind: type[MillraceError], text: str
) -> None:
    with pytest.raises(kind, match=text):
        mongodb.check(failing(error))


def test_what_nobody_can_put_right_stays_what_it_is() -> None:
    with pytest.raises(PyMongoError, match="odd"):
        mongodb.check(failing(OperationFailure("odd", 1)))


def test_a_server_that_answers_is_fine() -> None:
    asked: list[str] = []
    client: Any = SimpleNamespace(admin=standing_for(Database, command=asked.append))
    mongodb.check(client)
    assert asked == ["ping"]


@stands_for(MongoCollection)
class Symbols:
    """A collection that answers the questions for the newest documents as MongoDB does.

    Documents come as they are taken, by the order of the index.
    """

    def __init__(self, *symbols: str) -> None:
        self.documents = [
            {"symbol": symbol, TIME_FIELD: time} for symbol in symbols for time in (1, 3, 2)
        ]
        self.limits: list[int] = []
        self.taken = 0

    def aggregate(self, pipeline: list[dict[str, Any]], **options: int) -> Iterator[dict[str, Any]]:
        assert options.pop("maxTimeMS")
        assert options in ({}, {"batchSize": mongodb.AT_ONCE})
        match, sort, group, replace, *limit = pipeline
        assert sort == {"$sort": {"symbol": 1, TIME_FIELD: -1}}
        assert group == {"$group": {"_id": "$symbol", "newest": {"$first": "$$ROOT"}}}
        assert replace == {"$replaceRoot": {"newRoot": "$newest"}}
        ((operator, wanted),) = match["$match"]["symbol"].items()
        names = sorted({document["symbol"] for document in self.documents})
        found = [n for n in names if (n in wanted if operator == "$in" else n > wanted)]
        count = limit[0]["$limit"] if limit else len(wanted)
        self.limits.append(count)
        for name in found[:count]:
            self.taken += 1
            yield {"symbol": name, TIME_FIELD: 3}


NAMES = [f"S{number}" for number in range(25)]


def test_the_newest_of_every_symbol_come_by_and_by_in_questions_of_some(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mongodb, "QUESTION", 10)
    collection: Any = Symbols(*NAMES)
    found = mongodb.newest(collection, 5)
    assert next(found)["symbol"] == "S0"
    assert collection.taken == 1, "nothing is read before it is wanted"
    assert ["S0", *(document["symbol"] for document in found)] == sorted(NAMES)
    assert collection.limits == [10, 10, 10]


@pytest.mark.parametrize("count", [0, 10, 20])
def test_the_last_question_may_have_no_answer(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr(mongodb, "QUESTION", 10)
    collection: Any = Symbols(*NAMES[:count])
    assert len([*mongodb.newest(collection, 5)]) == count


def test_the_newest_of_some_symbols_are_asked_for_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mongodb, "AT_ONCE", 10)
    collection: Any = Symbols(*NAMES)
    found = mongodb.newest(collection, 5, symbols=[*NAMES, "nobody"])
    assert {document["symbol"] for document in found} == {*NAMES}
    assert collection.limits == [10, 10, 6]
    assert [*mongodb.newest(collection, 5, symbols=[])] == []


def test_a_page_goes_on_after_a_symbol() -> None:
    collection: Any = Symbols(*NAMES)
    page = mongodb.newest_page(collection, 5, "S10", 3)
    assert [document["symbol"] for document in page] == ["S11", "S12", "S13"]


def test_symbols_out_of_order_are_an_error_and_not_a_gap() -> None:
    answer = [{"symbol": "B"}, {"symbol": "A"}]
    collection = standing_for(MongoCollection, aggregate=lambda *_, **__: iter(answer))
    with pytest.raises(MillraceError, match="another order"):
        mongodb.newest_page(collection, 5, "", 3)
