"""Answers that come in parts: what each of them used is what its last part says.

A server may say in every part what was used so far. Which part is the last is known where it says
so, else when no other has come for a while.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import msgspec

from millrace.feeds.token_usage import TokenUsage

QUIET_SECONDS = 10.0
MOST = 10_000
"""Answers that are waited for at a time."""


class Told(NamedTuple):
    """What an answer used, as far as it says."""

    event: TokenUsage
    answer: str
    """The same for all parts of an answer."""
    is_last: bool


class Held(msgspec.Struct, frozen=True):
    """The last part that was read of an answer, and when, in seconds since 1970."""

    event: TokenUsage
    at: float


def last_of_each(
    told: Iterable[Told], held: Mapping[str, Held], now: float
) -> tuple[list[TokenUsage], dict[str, Held]]:
    """The events of answers that are complete, and those of which more may come."""
    complete = []
    open_ = dict(held)
    for event, answer, is_last in told:
        open_.pop(answer, None)
        if is_last:
            complete.append(event)
        else:
            open_[answer] = Held(event, now)
    # They are in the order of their last parts. A clock that was set back keeps none of them.
    for answer, part in list(open_.items()):
        if len(open_) > MOST or not 0 <= now - part.at < QUIET_SECONDS:
            complete.append(open_.pop(answer).event)
    return complete, open_
