"""The interface of sources, and the four kinds of errors of a fetch."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol, runtime_checkable

from millrace.events import Event


class SourceError(Exception):
    """A fetch failed. The text is one line without secrets."""


class Transient(SourceError):
    """The upstream fails or sends an invalid answer; the same request may succeed soon."""


class Quota(SourceError):
    """The request budget is used up; requests before `retry_at` are pointless."""

    def __init__(self, reason: str, retry_at: datetime) -> None:
        super().__init__(reason)
        self.retry_at = retry_at


class Auth(SourceError):
    """The key is not accepted; a person has to act."""


class Permanent(SourceError):
    """The request would be refused again, for an unknown symbol or a missing right."""


@dataclass(frozen=True)
class Rejected:
    """One symbol whose answer cannot be trusted, and why."""

    symbol: str
    reason: str


@dataclass(frozen=True)
class Batch:
    """The result of one request."""

    events: Sequence[Event]
    simulated: bool
    rejected: Sequence[Rejected] = ()
    has_more: bool = False
    """Whether the next batch is available, so that the next poll need not wait for the interval."""


class Source(Protocol):
    """Fetches observations from outside and mints their events."""

    feed: str
    """Name of the events' feed."""
    units: tuple[str, ...]
    """The units that can be fetched, one request each. A finished unit is never fetched again."""
    shortest_interval: float
    """The shortest interval between polls of all units that the request budget allows for ever."""
    endless: bool
    """False: one poll of each unit returns everything there will ever be."""
    simulated: bool
    """Whether prices are simulated, as far as is known before the first answer."""

    @property
    def budget_left(self) -> int | None:
        """Requests left in the current period; None: no limit."""
        ...

    def fetch(self, unit: str) -> Batch:
        """Fetch one unit, or raise a SourceError."""
        ...


@runtime_checkable
class Paced(Protocol):
    """A source that generates its events, at a rate that can be changed."""

    def pace(self, rate: float, interval: float) -> float:
        """Generate `rate` events per second from now on, fetched every `interval` seconds.

        Returns the actual rate, which differs if it follows from the interval.
        """
        ...


SHORTEST_GAP = 10.0


def gap(interval: float) -> float:
    """The maximum age in seconds of events of a paced source, so that a late poll still has all.

    Older events, such as those of an outage, are left out.
    """
    return max(SHORTEST_GAP, 2 * interval)


@runtime_checkable
class Historical(Protocol):
    """A source that has past days."""

    def between(self, first: date, end: date) -> Batch:
        """The observations of the days from `first` up to `end`, exclusive."""
        ...
