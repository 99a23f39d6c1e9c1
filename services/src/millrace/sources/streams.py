"""Answers that come in parts: what each of them used is what its last part says.

A server may say in every part what was used so far. Which part is the last is known where it says
so, else when no other has come for a while. Meanwhile what was read behind it waits, too: events
are told in the order in which answers ended, or those that waited would come late for any rate.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import msgspec

from millrace.feeds.token_usage import TokenUsage

QUIET_SECONDS = 10.0
MOST = 10_000
"""Answers that are waited for, or wait behind one, at a time."""


class Told(NamedTuple):
    """What an answer used, as far as it says."""

    event: TokenUsage | None
    """None: this part is not believed, and so is no other before it."""
    answer: str
    """The same for all parts of an answer."""
    is_last: bool
    doubt: str | None = None
    """What does not add up in it."""


class Held(msgspec.Struct, frozen=True):
    """The last part that was read of an answer, and when, in seconds since 1970."""

    event: TokenUsage
    at: float
    is_last: bool = False
    """Whether it waits only for what was read before it."""


def last_of_each(
    told: Iterable[Told], held: Mapping[str, Held], now: float
) -> tuple[list[TokenUsage], dict[str, Held]]:
    """The events of answers that are complete, in the order of their last parts, and the others."""
    waiting = dict(held)
    for event, answer, is_last, _ in told:
        waiting.pop(answer, None)
        if event is None:
            continue
        # Two whole answers may have one id: neither takes the place of the other.
        key = f"{answer}\n{len(waiting)}" if is_last else answer
        while key in waiting:
            key += "+"
        waiting[key] = Held(event, now, is_last)

    def is_complete(part: Held) -> bool:
        # A clock that was set back keeps none of them.
        return part.is_last or not 0 <= now - part.at < QUIET_SECONDS

    complete = []
    for answer, part in list(waiting.items()):
        if not is_complete(part):
            break
        complete.append(waiting.pop(answer).event)
    # Where too many wait, those that are complete come first: late is better than wrong.
    for only_complete in (True, False):
        for answer, part in list(waiting.items()):
            if len(waiting) <= MOST:
                break
            if is_complete(part) or not only_complete:
                complete.append(waiting.pop(answer).event)
    return complete, waiting
