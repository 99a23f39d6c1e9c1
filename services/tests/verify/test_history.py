"""The comparison of the replayed file with what is stored."""

from typing import Any

import pytest
from services.tests.verify.test_compare import event

from millrace import peers
from millrace.config import Settings
from millrace.errors import MillraceError
from millrace.feeds.stocks import STOCKS
from millrace.peers import Peer
from millrace.verify import history
from millrace.verify.compare import Tally


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
        return Peer(host, ready=True, says={"source": source, "state": state})


def settings(*hosts: str) -> Settings:
    return Settings(status_hosts=list(hosts))


def test_a_replay_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    producers = Producers(monkeypatch, metals=["polling"], replay=["publishing"] * 3 + ["finished"])
    history.wait(settings("metals", "replay"), 5)
    assert producers.states["replay"] == ["finished"]


def test_without_a_replay_nothing_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    Producers(monkeypatch, metals=["polling"])
    history.wait(settings("metals"), 0)


def test_a_replay_that_does_not_finish_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    Producers(monkeypatch, replay=["publishing"])
    with pytest.raises(MillraceError, match="replay has not finished within 0 s: publishing"):
        history.wait(settings("replay"), 0)


def test_a_silent_service_is_not_ready() -> None:
    peer = peers.ask(Settings(http_port=1), "127.0.0.1")
    assert peer == Peer(
        "127.0.0.1", ready=False, says={"problem": "does not answer (ConnectionError)"}
    )
