"""The comparison of alerts."""

from datetime import UTC, datetime
from typing import Any

import msgspec

from millrace.events import Alert
from millrace.verify.data.alerts import compare, decode
from millrace.verify.data.compare import Tally


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
    expected: list[Alert],
    raised: list[Alert],
    *,
    complete: bool = True,
    outside: str = "",
    higher: list[Alert] | None = None,
) -> Tally:
    tally = Tally()
    by_threshold = {0.05: {a.event_id: a for a in expected}}
    if higher is not None:
        by_threshold[0.2] = {a.event_id: a for a in higher}
    compare(by_threshold, raised, lambda cause: cause == outside, complete=complete, tally=tally)
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


def test_a_possible_split_may_have_been_raised_as_a_move() -> None:
    split = alert("a", kind="possible_split")
    assert run([split], [alert("a")]).differences == 0
    assert run([split], [alert("a"), split]).differences == 0
    assert run([split], [split, alert("a")]).differences == 0
    assert run([split], [alert("a", value=0.2)]).differences == 1
    assert run([split], [alert("a", kind="other")]).differences == 1
    assert run([alert("a")], [split]).differences == 1


def test_after_a_change_of_the_threshold_each_alert_is_right_by_its_own() -> None:
    small, large = alert("small"), alert("large", value=0.3)
    large_now = alert("large", value=0.3, threshold=0.2)
    # Raised while the threshold was 0.05, and after it had become 0.2.
    assert run([small, large], [small, large_now], higher=[large_now]).differences == 0
    # What passed both was raised by neither.
    lost = run([small, large], [small], higher=[large_now])
    assert lost.examples == ["alert large:move was not raised"]
    # What did not pass the threshold that it names.
    wrong = run([small], [alert("small", threshold=0.2)], higher=[])
    assert wrong.examples == ["alert small:move had no reason"]


def test_an_alert_that_cannot_be_read_is_a_difference() -> None:
    tally = Tally()
    assert decode([b"{", None, msgspec.json.encode(alert("a"))], tally) == [alert("a")]
    assert tally.differences == 2
