"""When a producer polls: at an interval, or at the times of a cron expression in UTC."""

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import Literal, Protocol

from cronsim import CronSim, CronSimError

from millrace.config import ENV_PREFIX, about
from millrace.config.producer import ProducerSettings
from millrace.errors import ConfigurationError

FIELDS = 5
MINUTE = 60.0
LONGEST_SPACING = 3600.0
SOME = 100


class Timing(Protocol):
    """The moments at which a unit is due. Moments are seconds of Unix time."""

    text: str
    """The timing as text for people."""
    interval: float | None
    """Seconds between polls; None: not regular."""
    spacing: float
    """Maximum seconds between polls: the time that a poll of a generating source has to cover."""

    def first(self, now: float) -> float:
        """When a unit that was never polled is due."""
        ...

    def after(self, started: float) -> float:
        """When a unit whose poll started then is due again: always later."""
        ...

    def resumed(self, due: float, now: float) -> float:
        """When a unit is due after the producer was stopped or paused."""
        ...


class Interval:
    """Polls at an interval."""

    def __init__(self, seconds: float) -> None:
        self.interval: float | None = seconds
        self.spacing = seconds
        self._seconds = seconds
        self.text = f"every {seconds:g} s"

    def first(self, now: float) -> float:
        """At once."""
        return now

    def after(self, started: float) -> float:
        """One interval later."""
        return started + self._seconds

    def resumed(self, due: float, now: float) -> float:
        """As before, or at once if this time has passed; at most one interval later."""
        return min(due, now + self._seconds)


class Schedule:
    """Polls at the times of a cron expression, each with its own jitter.

    The jitter of a time depends only on this time and the producer's name, so that it does not
    change with a restart, and a schedule is a fixed series of moments.
    """

    interval: float | None = None

    def __init__(
        self,
        expression: str,
        *,
        name: str = "",
        jitter: float = 0.0,
        missed: Literal["run", "skip"] = "run",
    ) -> None:
        """Raise ConfigurationError unless the expression has five fields and ever matches."""
        self._expression = expression
        self._name = name
        self._jitter = jitter
        self._missed = missed
        self.text = f"at {expression}" + (f", up to {jitter:g} s later" if jitter else "")
        if len(expression.split()) != FIELDS:
            raise ConfigurationError(
                f"the schedule {expression!r} is not minute, hour, day of month, month and day of"
                " week"
            )
        try:
            self.spacing = _spacing(CronSim(expression, datetime(2000, 1, 1, tzinfo=UTC))) + jitter
        except CronSimError as error:
            raise ConfigurationError(f"the schedule {expression!r} is wrong: {error}") from None
        except StopIteration:
            raise ConfigurationError(f"the schedule {expression!r} never comes") from None

    def first(self, now: float) -> float:
        """At the next moment."""
        return self.after(now)

    def after(self, started: float) -> float:
        """At the next moment; those that passed during the poll are covered by it."""
        first = float("inf")
        for time in self._times(started - self._jitter):
            if time >= first:
                break
            moment = time + self._delay(time)
            if started < moment < first:
                first = moment
        return first

    def resumed(self, due: float, now: float) -> float:
        """At once if a moment was missed and `missed` is `run`, otherwise at the next moment."""
        if due < now:
            return due if self._missed == "run" else self.after(now)
        # A clock that was set back must not prolong the wait.
        return min(due, self.after(now))

    def _times(self, since: float) -> Iterator[float]:
        start = datetime.fromtimestamp(since - MINUTE, UTC)
        return (time.timestamp() for time in CronSim(self._expression, start))

    def _delay(self, time: float) -> float:
        if not self._jitter:
            return 0.0
        digest = hashlib.sha256(f"{self._name} {time}".encode()).digest()
        return self._jitter * int.from_bytes(digest[:4]) / 2**32


def _spacing(times: Iterator[datetime]) -> float:
    """The longest time between some of the times, limited by the memory for its events.

    Raises StopIteration if there is no time at all.
    """
    before = next(times)
    longest = MINUTE
    for time in islice(times, SOME):
        longest = max(longest, (time - before).total_seconds())
        if longest >= LONGEST_SPACING:
            return LONGEST_SPACING
        before = time
    return longest


def from_settings(settings: ProducerSettings) -> Timing:
    """The configured timing; errors in it are raised as one line."""
    if not settings.producer_schedule:
        unused = {"producer_jitter_seconds", "producer_missed"} & settings.model_fields_set
        if unused:
            names = " and ".join(ENV_PREFIX + name.upper() for name in sorted(unused))
            need = "need" if len(unused) > 1 else "needs"
            raise ConfigurationError(f"{names} {need} a schedule: set MILLRACE_PRODUCER_SCHEDULE")
        return Interval(settings.producer_interval_seconds)
    if "producer_interval_seconds" in settings.model_fields_set:
        raise ConfigurationError(
            "MILLRACE_PRODUCER_INTERVAL_SECONDS and MILLRACE_PRODUCER_SCHEDULE exclude each other"
        )
    with about("producer_schedule"):
        return Schedule(
            settings.producer_schedule,
            name=settings.producer_name,
            jitter=settings.producer_jitter_seconds,
            missed=settings.producer_missed,
        )
