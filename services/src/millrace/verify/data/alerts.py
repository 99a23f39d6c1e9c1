"""Compares the raised alerts with the expected ones. No I/O.

An alert has the threshold that it reached. After a change of the threshold there are alerts of
both: each must be right for its own, and moves that reach the highest must have raised one.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from millrace.events import Alert
from millrace.feeds.stocks import MOVE
from millrace.verify.data.compare import Tally


def decode(values: Iterable[bytes | None], tally: Tally) -> list[Alert]:
    """The raised alerts; one that cannot be read is a difference."""
    found = []
    for value in values:
        try:
            found.append(msgspec.json.decode(value or b"", type=Alert))
        except msgspec.DecodeError as error:
            tally.differs(f"an alert cannot be read: {error}")
    return found


def compare(
    expected: Mapping[float, Mapping[str, Alert]],
    raised: Iterable[Alert],
    is_outside: Callable[[str], bool],
    *,
    complete: bool,
    tally: Tally,
) -> None:
    """Compare alerts by id with those expected for each threshold.

    `is_outside` returns whether an event is not among the compared ones. Unless the topic is
    `complete`, missing alerts may have been removed by retention.
    """
    found: dict[str, Alert] = {}
    for alert in raised:
        if alert.event_id in found:
            tally.repeated_alerts += 1
            before = found[alert.event_id]
            if not (_is(before, alert) or _is(alert, before)):
                tally.differs(f"alert {alert.event_id} was raised with other values before")
            continue
        found[alert.event_id] = alert
        wanted = expected[alert.threshold].get(alert.event_id)
        if wanted is None:
            if not is_outside(alert.cause):
                tally.differs(f"alert {alert.event_id} had no reason")
        elif not _is(alert, wanted):
            tally.differs(f"alert {alert.event_id} is {_text(alert)}, not {_text(wanted)}")
        else:
            tally.alerts += 1
    if complete:
        for event_id in sorted(expected[max(expected)].keys() - found.keys()):
            tally.differs(f"alert {event_id} was not raised")


def _is(raised: Alert, wanted: Alert) -> bool:
    """Whether it is the expected alert. Before possible splits were detected, all were moves."""
    return raised in (wanted, replace(wanted, kind=MOVE))


def _text(alert: Any) -> str:
    return msgspec.json.encode(alert).decode()
