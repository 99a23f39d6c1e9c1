"""Answers that arrive in parts: the usage of an answer is that of its last part.

A server may report in every part what was used so far. A part is the last one if it says so, or if
no other has arrived for a while. Meanwhile answers that were read after it wait, too: events are
published in the order in which answers ended, so that waiting ones are not too late for a rate.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import msgspec

from millrace.feeds.token_usage import TokenUsage

QUIET_SECONDS = 10.0
MOST = 10_000
"""Maximum number of unfinished answers and of those that wait behind them."""


class Told(NamedTuple):
    """The usage that an answer, or a part of one, reports."""

    event: TokenUsage | None
    """None: this part is not believed, so earlier ones are not used either."""
    answer: str
    """The key of the answer, which all its parts share."""
    is_last: bool
    doubt: str | None = None
    """An inconsistency in the answer."""


class Held(msgspec.Struct, frozen=True):
    """The last part of an answer so far, and when it was read, in seconds since 1970."""

    event: TokenUsage
    at: float
    is_last: bool = False
    """Whether the answer is complete, and waits only for earlier ones."""


def last_of_each(
    told: Iterable[Told], held: Mapping[str, Held], now: float
) -> tuple[list[TokenUsage], dict[str, Held]]:
    """The events of complete answers, in the order of their last parts, and the held parts."""
    waiting = dict(held)
    for event, answer, is_last, _ in told:
        waiting.pop(answer, None)
        if event is None:
            continue
        # Two complete answers may share an id: neither replaces the other.
        key = f"{answer}\n{len(waiting)}" if is_last else answer
        while key in waiting:
            key += "+"
        waiting[key] = Held(event, now, is_last)

    def is_complete(part: Held) -> bool:
        # If the clock was set back, no part is held.
        return part.is_last or not 0 <= now - part.at < QUIET_SECONDS

    complete = []
    for answer, part in list(waiting.items()):
        if not is_complete(part):
            break
        complete.append(waiting.pop(answer).event)
    # If too many wait, complete answers go first: late is better than wrong.
    for only_complete in (True, False):
        for answer, part in list(waiting.items()):
            if len(waiting) <= MOST:
                break
            if is_complete(part) or not only_complete:
                complete.append(waiting.pop(answer).event)
    return complete, waiting
