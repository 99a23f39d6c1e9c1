"""The comparison of the replayed file with what is stored."""

from collections.abc import Sequence
from typing import Any

import pytest
from pymongo.collection import Collection as MongoCollection
from services.tests.mongo import matches
from services.tests.stands import stands_for
from services.tests.verify.test_compare import event

from millrace.clients import services
from millrace.clients.services import Peer
from millrace.config import Settings
from millrace.errors import MillraceError
from millrace.feeds.stocks import STOCKS
from millrace.sources import replay
from millrace.verify.data import history
from millrace.verify.data.compare import Tally


def stored(number: int) -> dict[str, Any]:
    one = event(number)
    return {
        "_id": one.event_id,
        **STOCKS.document(one, {"change_pct": 5.0}),
        "kafka": {"partition": 0, "offset": 9},
    }


def run(*documents: dict[str, Any]) -> Tally:
    tally = Tally()
    history.compare_rows([event(0), event(1)], {d["_id"]: d for d in documents}, tally)
    return tally


def test_a_row_is_compared_in_all_that_the_file_knows() -> None:
    later = {**stored(1), "produced_at": None}
    tally = run(stored(0), later)
    assert (tally.records, tally.stored, tally.differences) == (2, 2, 0)


@pytest.mark.parametrize("field", ["volume", "open", "timestamp_utc", "simulated", "source"])
def test_a_changed_field_is_a_difference(field: str) -> None:
    tally = run({**stored(0), field: "changed"}, stored(1))
    assert tally.examples == ["stocks:test:A:0 is not stored as it is in the file"]


def test_a_missing_row_is_a_difference() -> None:
    assert run(stored(0)).examples == ["stocks:test:A:1 is in the file and is not stored"]


@stands_for(MongoCollection)
class Collection:
    """Documents in memory, all of them replayed."""

    def __init__(self, documents: Sequence[dict[str, Any]]) -> None:
        self.documents = documents

    def distinct(self, field: str, condition: dict[str, Any], **options: int) -> list[str]:
        assert options["maxTimeMS"]
        assert condition == {"source": "replay"}
        return sorted({document[field] for document in self.documents})

    def find(self, condition: dict[str, Any], *, max_time_ms: int) -> list[dict[str, Any]]:
        assert max_time_ms
        return [d for d in self.documents if matches(d, condition)]

    def count_documents(self, condition: dict[str, Any], **options: Any) -> int:
        assert condition == {"source": "replay"}
        assert options["maxTimeMS"]
        assert options["hint"][0] == ("source", 1), "what others have stored would be read"
        return len(self.documents)


FILE = [event(0, "A"), event(1, "A"), event(0, "B")]


def stored_of(one: Any) -> dict[str, Any]:
    return {"_id": one.event_id, **STOCKS.document(one, {"change_pct": 5.0}), "kafka": {}}


def compared(
    monkeypatch: pytest.MonkeyPatch, documents: Sequence[Any], declared: list[str] | None
) -> Tally:
    monkeypatch.setattr(replay, "read", lambda *_: iter(FILE))
    database: Any = {STOCKS.collection: Collection(documents)}
    return history.compare(database, Settings(), declared)


def test_every_row_of_the_declared_symbols_has_to_be_stored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    everything = [stored_of(one) for one in FILE]
    assert compared(monkeypatch, everything, []).examples == []
    assert compared(monkeypatch, everything[:2], ["A"]).examples == []
    missing = compared(monkeypatch, everything[:2], [])
    assert missing.records == 3
    assert missing.examples == [
        "stocks:test:B:0 is in the file and is not stored",
        "2 documents are stored of 3 rows of the file",
    ]
    assert compared(monkeypatch, [], ["B"]).differences == 2
    assert compared(monkeypatch, [], []).differences == 4


def test_what_was_replayed_before_is_compared_too(monkeypatch: pytest.MonkeyPatch) -> None:
    everything = [stored_of(one) for one in FILE]
    assert compared(monkeypatch, everything, ["A"]).stored == 3
    assert compared(monkeypatch, everything[:2], None).examples == []
    assert compared(monkeypatch, everything[:1], None).differences == 2


def test_a_replayed_document_that_is_in_no_row_is_a_difference(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    everything = [stored_of(one) for one in [*FILE, event(7, "A")]]
    assert compared(monkeypatch, everything, []).examples == [
        "4 documents are stored of 3 rows of the file"
    ]


class Producers:
    """Producers that answer one state after the other."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **states: list[str]) -> None:
        self.states = states
        monkeypatch.setattr(history, "ask", self.ask)
        monkeypatch.setattr(history, "POLL_SECONDS", 0.0)

    def ask(self, _: Settings, host: str) -> Peer:
        states = self.states[host]
        state = states.pop(0) if len(states) > 1 else states[0]
        source = "replay" if host.startswith("replay") else "metals_api"
        symbols = host.split("-")[1:]
        return Peer(host, ready=True, says={"source": source, "state": state, "symbols": symbols})


def settings(*hosts: str) -> Settings:
    return Settings(status_hosts=list(hosts))


def test_a_replay_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    producers = Producers(monkeypatch, metals=["polling"], replay=["publishing"] * 3 + ["finished"])
    assert history.wait(settings("metals", "replay"), 5) == []
    assert producers.states["replay"] == ["finished"]


def test_without_a_replay_nothing_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    Producers(monkeypatch, metals=["polling"])
    assert history.wait(settings("metals"), 0) is None


def test_what_is_replayed_is_what_the_producers_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    states = {"replay": ["finished"], "replay-A-B": ["finished"], "replay-C": ["finished"]}
    Producers(monkeypatch, **states)
    assert history.wait(settings("replay-A-B", "replay-C"), 0) == ["A", "B", "C"]
    assert history.wait(settings("replay-A-B", "replay"), 0) == []


def test_a_replay_that_does_not_finish_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    Producers(monkeypatch, replay=["publishing"])
    with pytest.raises(MillraceError, match="replay has not finished within 0 s: publishing"):
        history.wait(settings("replay"), 0)


def test_a_silent_service_is_not_ready() -> None:
    peer = services.ask(Settings(http_port=1), "127.0.0.1")
    assert peer == Peer(
        "127.0.0.1", ready=False, says={"problem": "does not answer (ConnectionError)"}
    )
