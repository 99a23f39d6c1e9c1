"""What people see of a verification, and what the shell does."""

import json
from dataclasses import asdict

import pytest

from millrace import verify
from millrace.config import Settings
from millrace.verify.access import authorization
from millrace.verify.access.attempts import AccessReport, Outcome
from millrace.verify.checks import Check, report
from millrace.verify.data import arrivals, stored
from millrace.verify.data.arrivals import Flow, WorkflowReport
from millrace.verify.data.compare import Tally
from millrace.verify.data.stored import DataReport
from millrace.verify.health import cluster


def data_report(*, ok: bool) -> DataReport:
    tally = Tally(records=12154, stored=12154, repeated_letters=31, repeated_alerts=57)
    if not ok:
        tally.differs("stock-data[0]@1: it is [lost]")
    return DataReport(ok=ok, waited_seconds=0.5, seconds=2.0, parts={"stocks": asdict(tally)})


def access_report(*, ok: bool) -> AccessReport:
    outcome = Outcome("kafka 9092", "plaintext", "TLS", "accepted", ok)
    return AccessReport(ok=ok, attempts=[outcome])


def test_equal_data_is_said_in_a_table(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(stored, "verify", lambda _: data_report(ok=True))
    verify.show_data(Settings(), as_json=False)
    shown = capsys.readouterr().out
    assert "12,154" in shown
    (row,) = (line for line in shown.splitlines() if " stocks " in line)
    assert " 31 " in row
    assert " 57 " in row
    assert "\nequal" in shown


def test_a_difference_is_told_and_ends_with_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(stored, "verify", lambda _: data_report(ok=False))
    with pytest.raises(SystemExit) as caught:
        verify.show_data(Settings(), as_json=False)
    assert caught.value.code == 1
    shown = capsys.readouterr().out
    assert "stock-data[0]@1: it is [lost]" in shown
    assert "not equal" in shown


@pytest.mark.parametrize("ok", [True, False])
def test_programs_get_json_and_the_same_status(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], ok: bool
) -> None:
    monkeypatch.setattr(authorization, "verify", lambda _: access_report(ok=ok))
    try:
        verify.show_access(Settings(), as_json=True)
        code = 0
    except SystemExit as error:
        code = int(str(error.code))
    assert code == (0 if ok else 1)
    report = json.loads(capsys.readouterr().out)
    assert report["ok"] is ok
    assert report["attempts"][0]["server"] == "kafka 9092"


def test_attempts_are_shown_with_their_answers(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(authorization, "verify", lambda _: access_report(ok=True))
    verify.show_access(Settings(), as_json=False)
    shown = capsys.readouterr().out
    assert "plaintext" in shown
    assert "1 of 1 attempts were refused" in shown


def test_checks_that_failed_are_said_again_below_the_table(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = [
        Check("kafka-1:9092", "TLS port answers", "TLSv1.3", ok=True),
        Check("stock-data", "leaders", "none for [0]", ok=False),
    ]
    monkeypatch.setattr(cluster, "verify", lambda _: report("Kafka", found))
    with pytest.raises(SystemExit) as caught:
        verify.show_kafka(Settings(), as_json=False)
    assert caught.value.code == 1
    shown = capsys.readouterr().out
    assert "failed stock-data: leaders: none for [0]" in shown
    assert "1 of 2 checks of Kafka passed" in shown


def test_a_workflow_that_works_ends_with_a_banner(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    flows = {"metals": Flow(4, 3, 1, 0, 10, 13), "stocks": Flow(0, 0, 0, 0, 5, 5)}
    monkeypatch.setattr(arrivals, "verify", lambda *_: WorkflowReport(True, 9.5, flows, []))
    verify.show_workflow(Settings(), seconds=1, as_json=False)
    shown = capsys.readouterr().out
    assert "The pipeline works: 4 new events" in shown
    assert "none in this time" in shown


def test_a_workflow_in_which_nothing_comes_names_the_producers(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    silent = WorkflowReport(False, 180.0, {}, ["producer-metals: last error: [quota]"])
    monkeypatch.setattr(arrivals, "verify", lambda *_: silent)
    with pytest.raises(SystemExit) as caught:
        verify.show_workflow(Settings(), seconds=180, as_json=False)
    assert caught.value.code == 1
    shown = capsys.readouterr().out
    assert "no event producer-metals: last error: [quota]" in shown
    assert "does not work" in shown
