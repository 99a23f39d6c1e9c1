"""MongoDB clients: safe by default, and clear about why one cannot be used."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import SecretStr
from pymongo.errors import (
    AutoReconnect,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
)

from millrace import mongo
from millrace.config import Settings
from millrace.errors import ConfigurationError, MillraceError


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

    monkeypatch.setattr(mongo, "MongoClient", client)
    return given


def test_writes_are_acknowledged_by_the_journals_of_a_majority(
    settings: Settings, options: dict[str, Any]
) -> None:
    mongo.client(settings)
    assert (options["w"], options["journal"]) == ("majority", True)


def test_the_server_is_checked_and_so_are_we(settings: Settings, options: dict[str, Any]) -> None:
    mongo.client(settings)
    assert options["tls"] is True
    assert options["tlsCAFile"] == str(settings.mongodb_ca_file)
    assert options["authMechanism"] == "SCRAM-SHA-256"
    assert (options["username"], options["password"]) == ("processor", "p/w:@")
    assert options["authSource"] == "prices"


def test_all_members_are_asked_and_times_have_a_zone(
    settings: Settings, options: dict[str, Any]
) -> None:
    mongo.client(settings)
    assert options["hosts"] == ["one:27017", "two:27018"]
    assert options["replicaSet"] == "rs0"
    assert options["tz_aware"] is True


def test_a_caller_may_decide_otherwise(settings: Settings, options: dict[str, Any]) -> None:
    mongo.client(settings, serverSelectionTimeoutMS=100)
    assert options["serverSelectionTimeoutMS"] == 100


def test_without_credentials_there_is_no_client() -> None:
    with pytest.raises(ConfigurationError, match="MILLRACE_MONGODB_PASSWORD"):
        mongo.client(Settings(mongodb_username="processor"))


def failing(error: Exception) -> Any:
    def command(_: str) -> None:
        raise error

    return SimpleNamespace(admin=SimpleNamespace(command=command))


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (OperationFailure("no", 18), mongo.CredentialsRefused, "credentials"),
        (OperationFailure("not authorized on x", 13), mongo.NotAllowed, "not authorized on x"),
        (AutoReconnect("reset"), mongo.DatabaseUnreachable, "reset"),
        (
            ServerSelectionTimeoutError("one:27017: refused, Topology Description: <much more>"),
            mongo.DatabaseUnreachable,
            "one:27017: refused$",
        ),
    ],
)
def test_what_is_wrong_is_one_clear_line(
    error: Exception, kind: type[MillraceError], text: str
) -> None:
    with pytest.raises(kind, match=text):
        mongo.check(failing(error))


def test_what_nobody_can_put_right_stays_what_it_is() -> None:
    with pytest.raises(PyMongoError, match="odd"):
        mongo.check(failing(OperationFailure("odd", 1)))


def test_a_server_that_answers_is_fine() -> None:
    asked: list[str] = []
    client: Any = SimpleNamespace(admin=SimpleNamespace(command=asked.append))
    mongo.check(client)
    assert asked == ["ping"]
