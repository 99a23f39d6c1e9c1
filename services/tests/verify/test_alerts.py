"""The comparison of alerts."""

from datetime import UTC, datetime
from typing import Any

import msgspec

from millrace.events import Alert
from millrace.verify.alerts import compare
from millrace.verify.compare import Tally


def alert(name: str, **changes: Any) -> Alert:
    fields: dict[str, Any] = {
        "event_id": f"{name}:move",
        "schema_version": 1,
        "feed": "stocks",
        "symbol": "A",
        "observed_at": datetime(2024, 1, 1, tzinfo=UTC),
        "kind": "move",
        "value": 0.1,
        "threshold": 0.05,
        "cause": name,
    }
    return Alert(**{**fields, **changes})


def run(
    expected: list[Alert], raised: list[Alert | bytes], *, complete: bool = True, outside: str = ""
) -> Tally:
    tally = Tally()
    values = [a if isinstance(a, bytes) else msgspec.json.encode(a) for a in raised]
    compare(
        {a.event_id: a for a in expected},
        values,
        lambda cause: cause == outside,
        complete=complete,
        tally=tally,
    )
    return tally


def test_equal_alerts_are_equal() -> None:
    tally = run([alert("a"), alert("b")], [alert("b"), alert("a")])
    assert (tally.alerts, tally.differences) == (2, 0)


def test_an_alert_that_was_not_raised_is_a_difference() -> None:
    assert run([alert("a")], []).examples == ["alert a:move was not raised"]
    assert run([alert("a")], [], complete=False).differences == 0


def test_an_alert_without_reason_is_a_difference_unless_its_event_was_not_compared() -> None:
    assert run([], [alert("a")]).examples == ["alert a:move had no reason"]
    assert run([], [alert("a")], outside="a").differences == 0


def test_an_alert_with_other_values_is_a_difference() -> None:
    tally = run([alert("a")], [alert("a", value=0.2)])
    assert (tally.alerts, tally.differences) == (0, 1)
    assert '"value":0.2' in tally.examples[0]


def test_an_alert_that_was_raised_again_after_a_crash_is_counted() -> None:
    tally = run([alert("a")], [alert("a"), alert("a")])
    assert (tally.alerts, tally.repeated_alerts, tally.differences) == (1, 1, 0)
    assert run([alert("a")], [alert("a"), alert("a", value=0.2)]).differences == 1


def test_an_alert_that_cannot_be_read_is_a_difference() -> None:
    assert run([], [b"{"]).differences == 1
