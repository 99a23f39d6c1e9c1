"""What a source is, and the four ways in which fetching from one fails."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol, runtime_checkable

from millrace.events import Event


class SourceError(Exception):
    """A fetch gave nothing. The text is one line without secrets."""


class Transient(SourceError):
    """The upstream is unwell or speaks nonsense; the same request may succeed soon."""


class Quota(SourceError):
    """The request budget is used up; no request before `retry_at` makes sense."""

    def __init__(self, reason: str, retry_at: datetime) -> None:
        super().__init__(reason)
        self.retry_at = retry_at


class Auth(SourceError):
    """The key is not accepted: only a person can help."""


class Permanent(SourceError):
    """This request will be refused again: a symbol or a right that the upstream does not give."""


@dataclass(frozen=True)
class Rejected:
    """One symbol whose answer cannot be trusted, and why."""

    symbol: str
    reason: str


@dataclass(frozen=True)
class Batch:
    """What one request brought."""

    events: Sequence[Event]
    simulated: bool
    rejected: Sequence[Rejected] = ()
    has_more: bool = False
    """Whether the next is there already, and need not wait for the interval."""


class Source(Protocol):
    """Fetches observations from outside and mints their events."""

    feed: str
    """Name of the feed that the events belong to."""
    units: tuple[str, ...]
    """What can be asked for, one request each. A finished unit is never asked for again."""
    shortest_interval: float
    """Seconds between polls of all units that the request budget can bear for ever."""
    endless: bool
    """False: one poll of each unit brings everything there will ever be."""
    simulated: bool
    """Whether prices are invented, as far as is known before the first answer."""

    @property
    def budget_left(self) -> int | None:
        """Requests left in the current period; None: without a limit."""
        ...

    def fetch(self, unit: str) -> Batch:
        """Ask for one unit, or raise a SourceError."""
        ...


@runtime_checkable
class Paced(Protocol):
    """A source that makes its events itself, at a rate that can be changed."""

    def pace(self, rate: float, interval: float) -> float:
        """From now on make so many events a second, fetched every `interval` seconds.

        The answer is the rate that is kept: where the interval alone says it, another one.
        """
        ...


SHORTEST_GAP = 10.0


def gap(interval: float) -> float:
    """How old what a paced source makes may be, in seconds: a poll that came late still brings all.

    What would be older is left out: after an outage nobody asks what had been.
    """
    return max(SHORTEST_GAP, 2 * interval)


@runtime_checkable
class Historical(Protocol):
    """A source that knows the past, day by day."""

    def between(self, first: date, end: date) -> Batch:
        """What was observed on the days from the first up to the end, which is not included."""
        ...
