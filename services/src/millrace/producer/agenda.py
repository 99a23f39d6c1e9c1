"""When each unit of a source is due, stored on disk, so that a restart loses or repeats no poll."""

from collections.abc import Callable, Sequence
from math import inf
from pathlib import Path

import msgspec

from millrace.producer.timing import Timing
from millrace.runtime.state_files import load_state, write_atomically


class _Kept(msgspec.Struct):
    """The state that survives a restart."""

    due: dict[str, float] = {}
    finished: list[str] = []
    schedule: str = ""
    """The schedule that `due` follows; empty: an interval."""
    runs: int = 0
    """Number of requested extra polls that are included in `due`."""
    attempts: dict[str, int] = {}
    """Number of attempts of each unit since its last answer."""


class Agenda:
    """Units and their due times, in seconds of Unix time; finished units are not due again."""

    def __init__(
        self,
        units: Sequence[str],
        timing: Timing,
        path: Path,
        clock: Callable[[], float],
        *,
        runs: int,
    ) -> None:
        """`runs` is the number of extra polls requested so far, used if there is no state."""
        self._units = units
        self._timing = timing
        self._path = path
        self._clock = clock
        self._kept = self._load() or _Kept(runs=runs)
        self.resume()

    def next(self) -> tuple[str | None, float]:
        """The next unit and its due time; None if all are finished."""
        return min(
            ((unit, self._kept.due[unit]) for unit in self._waiting()),
            key=lambda entry: entry[1],
            default=(None, inf),
        )

    def resume(self, timing: Timing | None = None) -> None:
        """Resume after a pause, or with another timing."""
        self._timing = timing or self._timing
        now = self._clock()
        schedule = self._timing.text if self._timing.interval is None else ""
        for unit in self._waiting():
            due = self._kept.due.get(unit)
            if due is None or schedule != self._kept.schedule:
                self._kept.due[unit] = self._timing.first(now)
            else:
                self._kept.due[unit] = self._timing.resumed(due, now)
        self._kept.schedule = schedule
        self.save()

    def ask(self, runs: int) -> bool:
        """Schedule requested extra polls; return whether there is a new one."""
        if runs == self._kept.runs:
            return False
        self._kept.runs = runs
        self._kept.due |= dict.fromkeys(self._waiting(), self._clock())
        self.save()
        return True

    def attempt(self, unit: str) -> int:
        """Record an attempt; return the number of attempts since the last answer."""
        self._kept.attempts[unit] = self._kept.attempts.get(unit, 0) + 1
        return self._kept.attempts[unit]

    def answered(self, unit: str) -> None:
        """Record an answer of a working upstream."""
        self._kept.attempts.pop(unit, None)

    def polled(self, unit: str, started: float) -> None:
        """Set the next due time by the timing."""
        self._kept.due[unit] = self._timing.after(started)

    def put(self, unit: str, due: float) -> None:
        """Set the due time."""
        self._kept.due[unit] = due

    def finish(self, unit: str) -> None:
        """Mark the unit as finished."""
        self._kept.finished.append(unit)

    def postpone(self, unit: str, until: float) -> None:
        """Postpone the unit at least until then."""
        self._kept.due[unit] = max(self._kept.due[unit], until)

    def save(self) -> None:
        """Store the state."""
        write_atomically(self._path, msgspec.json.encode(self._kept))

    def _waiting(self) -> list[str]:
        return [unit for unit in self._units if unit not in self._kept.finished]

    def _load(self) -> _Kept | None:
        return load_state(self._path, _Kept, "every unit is due now, also those that were finished")
