"""The status: everyone is asked, and who does not answer is part of it."""

import json
from collections.abc import Sequence
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
from kafka.errors import KafkaTimeoutError
from pymongo.collection import Collection as MongoCollection
from pymongo.errors import ExecutionTimeout, OperationFailure, ServerSelectionTimeoutError
from services.tests.mongo import aggregated
from services.tests.stands import stands_for

from millrace.clients import kafka, lag, mongodb, services
from millrace.clients.kafka import BrokerUnreachable
from millrace.clients.lag import PartitionLag
from millrace.clients.services import Peer
from millrace.config import Settings
from millrace.errors import ConfigurationError
from millrace.feeds.base import TIME_FIELD
from millrace.watch import status
from millrace.watch.status import NotWell, StatusReport, Stored, look, run, show, summary

PRODUCER = Peer(
    "producer-metals",
    ready=True,
    says={
        "name": "metals",
        "source": "metals_api",
        "state": "polling",
        "simulated": True,
        "published": 12,
        "last_error": None,
    },
)
STORED = Stored("metal_prices", "metals_api", True, 12, datetime(2024, 1, 1, tzinfo=UTC))
LAG = PartitionLag("metal-prices", 0, 1200, 5)


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr(status, "ask", lambda _, host: PRODUCER)
    monkeypatch.setattr(status, "ask_api", lambda _: Peer("api", ready=False, says={}))
    monkeypatch.setattr(status, "_ask_kafka", lambda _: ([LAG], 3, []))
    monkeypatch.setattr(status, "_ask_mongodb", lambda *_: [STORED])
    return Settings(status_hosts=["producer-metals"])


def test_everyone_is_asked(settings: Settings) -> None:
    assert look(settings) == StatusReport(
        services=[PRODUCER, Peer("api", ready=False, says={})],
        lag=[LAG],
        dead_letters=3,
        stored=[STORED],
        problems=[],
    )


def test_an_archive_is_a_row_and_a_column_where_there_is_one(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def lags(_: Any, group: str, topics: Sequence[str]) -> list[PartitionLag]:
        behind = {"processor": 5, "archiver": 777}[group]
        return [PartitionLag(topic, 0, 1200, behind) for topic in topics]

    monkeypatch.undo()
    monkeypatch.setattr(kafka, "asking", lambda _: nullcontext())
    monkeypatch.setattr(lag, "read", lags)
    monkeypatch.setattr(status, "ask", lambda _, host: Peer(host, ready=True, says={}))
    monkeypatch.setattr(status, "ask_api", lambda _: Peer("api", ready=True, says={}))
    monkeypatch.setattr(status, "_ask_mongodb", lambda *_: [])
    report = look(settings)
    assert (report.archive_lag, [peer.host for peer in report.services][1:]) == ([], ["api"])
    show(report)
    assert "archive" not in capsys.readouterr().out
    report = look(settings.model_copy(update={"archiver_host": "archiver"}))
    assert [one.lag for one in report.archive_lag] == [777, 777]
    assert [peer.host for peer in report.services][1:] == ["archiver", "api"]
    show(report)
    shown = capsys.readouterr().out
    assert "archive's lag" in shown
    assert shown.count(" 777 ") == 2


def test_a_warehouse_is_a_row_and_a_table_where_there_is_one(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    feeds = {
        "metals": {"events": 1234, "newest": "2026-01-02T15:00:00Z", "status": "fresh"},
        "quotes": {"events": 0, "newest": None, "status": "absent"},
    }
    says = {"state": "built 34 s ago in 12 s", "feeds": feeds}
    monkeypatch.setattr(status, "ask", lambda _, host: Peer(host, ready=True, says=says))
    report = look(settings.model_copy(update={"warehouse_host": "warehouse"}))
    assert [peer.host for peer in report.services][1:] == ["warehouse", "api"]
    show(report)
    shown = " ".join(capsys.readouterr().out.split())
    assert "warehouse │ yes │ built 34 s ago in 12 s" in shown
    assert "metals │ 1,234 │ 2026-01-02 15:00:00 UTC │ fresh" in shown
    assert "quotes │ 0 │ │ absent" in shown
    # Before the first build there is nothing to show.
    show(StatusReport([Peer("warehouse", ready=True, says={"feeds": {}})], [], 0, [], []))
    assert "Warehouse" not in capsys.readouterr().out


def test_what_cannot_be_asked_is_a_problem_of_one_line(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_kafka(_: Settings) -> Any:
        raise KafkaTimeoutError("no broker")

    def no_mongodb(*_: Any) -> Any:
        raise ServerSelectionTimeoutError("refused, Topology Description: long")

    monkeypatch.setattr(status, "_ask_kafka", no_kafka)
    monkeypatch.setattr(status, "_ask_mongodb", no_mongodb)
    report = look(settings)
    assert report.dead_letters is None
    assert report.lag == []
    assert report.stored == []
    assert len(report.problems) == 2
    assert "no broker" in report.problems[0]
    assert report.problems[1] == "MongoDB does not answer: refused"
    assert report.down == ["Kafka", "MongoDB"]


@stands_for(MongoCollection)
class FakeCollection:
    """A collection of these documents, or of too many to read them all."""

    def __init__(self, name: str, documents: Sequence[dict[str, Any]], count: int = 0) -> None:
        self.name, self.documents, self.count = name, documents, count

    def aggregate(self, pipeline: Any, maxTimeMS: int) -> list[Any]:  # noqa: N803 - the driver's
        assert maxTimeMS == status.LIMIT_MILLISECONDS
        if self.count:
            raise ExecutionTimeout("operation exceeded time limit", 50)
        return aggregated(self.documents, pipeline)

    def estimated_document_count(self) -> int:
        return self.count or len(self.documents)


def test_a_collection_that_takes_too_long_is_a_problem_and_the_others_are_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    documents = [
        {"source": "metals_api", "simulated": True, TIME_FIELD: STORED.newest - timedelta(age)}
        for age in range(12)
    ]
    database = {
        "historical_quotes": FakeCollection("historical_quotes", [], 12_000_000),
        "metal_prices": FakeCollection("metal_prices", documents),
    }
    monkeypatch.setattr(mongodb, "client", lambda *_, **__: nullcontext({"millrace": database}))
    problems: list[str] = []
    found = status._ask_mongodb(Settings(feeds=["quotes", "metals"]), problems)
    assert found == [STORED]
    assert problems == [
        "historical_quotes: 12,000,000 documents, too many to tell by source within 5 s"
    ]


def test_the_status_is_json_for_programs(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(NotWell):
        run(settings, as_json=True)
    report = json.loads(capsys.readouterr().out)
    assert report["dead_letters"] == 3
    assert report["stored"][0]["simulated"] is True
    assert report["services"][0]["says"]["published"] == 12


def test_the_status_is_tables_for_people(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    show(look(settings))
    shown = capsys.readouterr().out
    for text in ("metals", "metals_api, simulated", "metal_prices", "1,200", "Dead letters: 3"):
        assert text in shown


def test_text_of_others_is_shown_and_not_obeyed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A source, a reason and an error are whatever somebody put into Kafka or answered."""
    bad = "[/x][red]a\x1b[2J\nb"
    says = {"problem": bad, "source": bad, "state": bad, "name": bad, "last_error": bad}
    peers = [Peer(host, ready=False, says=says) for host in ("processor", "producer-metals")]
    stored = Stored("metal_prices", bad, False, 12, datetime(2024, 1, 1, tzinfo=UTC))
    show(StatusReport(peers, [], 0, [stored], [bad]))
    shown = capsys.readouterr().out
    assert shown.count("[/x][red]a [2J b") >= 4
    assert "\x1b[2J" not in shown


@pytest.mark.parametrize("ready", [True, False])
def test_the_status_of_what_is_not_ready_is_an_error(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, *, ready: bool
) -> None:
    monkeypatch.setattr(status, "ask_api", lambda _: Peer("api", ready=ready, says={}))
    if ready:
        run(settings, as_json=False)
        return
    with pytest.raises(NotWell, match=r"^not ready, or not to be asked: api$"):
        run(settings, as_json=False)


@pytest.mark.parametrize(
    ("asked", "error", "said"),
    [
        ("_ask_kafka", KafkaTimeoutError(), "KafkaTimeoutError"),
        ("_ask_kafka", BrokerUnreachable("Kafka at k:9092 does not answer"), "Kafka at k:9092"),
        ("_ask_mongodb", ServerSelectionTimeoutError("no"), "MongoDB does not answer"),
        ("_ask_mongodb", OperationFailure("odd", 8000), "MongoDB: odd"),
        ("_ask_mongodb", ConfigurationError("cannot read /a"), "MongoDB: cannot read /a"),
    ],
)
def test_a_server_that_cannot_be_asked_is_an_error_while_all_services_say_that_they_are_ready(
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    asked: str,
    error: Exception,
    said: str,
) -> None:
    def fail(*_: Any) -> Any:
        raise error

    monkeypatch.setattr(status, "ask_api", lambda _: Peer("api", ready=True, says={}))
    monkeypatch.setattr(status, asked, fail)
    server = "Kafka" if asked == "_ask_kafka" else "MongoDB"
    with pytest.raises(NotWell, match=f"^not ready, or not to be asked: {server}$"):
        run(settings, as_json=False)
    assert said in capsys.readouterr().out
    with pytest.raises(NotWell):
        run(settings, as_json=True)
    assert json.loads(capsys.readouterr().out)["down"] == [server]


def test_a_collection_that_is_too_large_to_count_is_no_error(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_many(_: Settings, problems: list[str]) -> list[Stored]:
        problems.append("too many")
        return []

    monkeypatch.setattr(status, "ask_api", lambda _: Peer("api", ready=True, says={}))
    monkeypatch.setattr(status, "_ask_mongodb", too_many)
    run(settings, as_json=False)


def test_what_the_api_says_of_the_processor_is_its_problem(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Answer:
        ok = False

        def json(self) -> dict[str, Any]:
            processor = {"status": "unavailable", "problem": "nobody reads quotes/0"}
            checks = {"kafka": {"status": "ok"}, "processor": processor}
            return {"status": "unavailable", "checks": checks}

    monkeypatch.setattr(requests.Session, "get", lambda *_, **__: Answer())
    peer = services.ask_api(settings)
    assert not peer.ready
    assert summary(peer) == "unavailable, processor: nobody reads quotes/0"


def test_a_service_is_summed_up_in_a_line() -> None:
    assert summary(PRODUCER) == "source metals_api, polling, simulated, published 12"
    silent = Peer("x", ready=False, says={"problem": "does not answer (ConnectionError)"})
    assert summary(silent) == "does not answer (ConnectionError)"


def test_a_peer_on_another_host_is_asked_at_its_own_port(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    class Answer:
        ok = True
        text = "ok"

        def json(self) -> dict[str, Any]:
            return {"source": "replay"}

    def get(_: Any, url: str, **__: Any) -> Answer:
        asked.append(url)
        return Answer()

    monkeypatch.setattr(requests.Session, "get", get)
    settings = Settings(http_port=8081)
    assert services.ask(settings, "producer-a:9102") == Peer(
        "producer-a", True, {"source": "replay"}
    )
    services.ask(settings, "processor")
    assert asked == [
        "http://producer-a:9102/ready",
        "http://producer-a:9102/status",
        "http://processor:8081/ready",
        "http://processor:8081/status",
    ]


def test_producers_have_a_table_of_their_own(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    says = PRODUCER.says | {
        "state": "paused",
        "timing": "every 0.25 s",
        "rate_per_second": 20.0,
        "last_poll": "2026-01-02T12:00:00.123456Z",
        "next_poll": None,
        "quota_left": 7,
        "errors": 3,
        "last_error": "used up",
        "clock_ahead_seconds": -61.2,
    }
    silent = Peer("producer-gone", ready=False, says={"problem": "does not answer (Timeout)"})
    answers = {"producer-metals": Peer("producer-metals", True, says), "producer-gone": silent}
    monkeypatch.setattr(status, "ask", lambda _, host: answers[host])
    show(look(Settings(status_hosts=list(answers))))
    lines = capsys.readouterr().out.splitlines()
    (metals,) = (line for line in lines if " metals " in line)
    for text in ("paused", "every 0.25 s, 20 a second", "01-02 12:00:00", " 7 ", " 3 "):
        assert text in metals
    assert any(" gone " in line for line in lines)
    assert "gone: does not answer (Timeout)" in lines
    assert "metals: used up" in lines
    assert "metals: its clock is 61 s behind Kafka's" in lines
    services = lines[: next(i for i, line in enumerate(lines) if "Producers" in line)]
    assert not any("metals" in line for line in services)
