"""When each unit of a source is due: kept on disk, so that a restart neither loses nor doubles."""

from collections.abc import Callable, Sequence
from math import inf
from pathlib import Path

import msgspec

from millrace.producer.timing import Timing
from millrace.runtime.state_files import load_state, write_atomically


class _Kept(msgspec.Struct):
    """What survives a restart."""

    due: dict[str, float] = {}
    finished: list[str] = []
    schedule: str = ""
    """The schedule that `due` follows; empty: an interval."""
    runs: int = 0
    """How many of the polls out of turn that were asked for have their place here."""
    attempts: dict[str, int] = {}
    """How often a unit was asked for since it answered."""


class Agenda:
    """Each unit and when it is due, in seconds of Unix time; finished ones are not due again."""

    def __init__(
        self,
        units: Sequence[str],
        timing: Timing,
        path: Path,
        clock: Callable[[], float],
        *,
        runs: int,
    ) -> None:
        """`runs` is how many polls out of turn were asked for when nothing is kept."""
        self._units = units
        self._timing = timing
        self._path = path
        self._clock = clock
        self._kept = self._load() or _Kept(runs=runs)
        self.resume()

    def next(self) -> tuple[str | None, float]:
        """The unit that is due first, and when; None if all are finished."""
        return min(
            ((unit, self._kept.due[unit]) for unit in self._waiting()),
            key=lambda entry: entry[1],
            default=(None, inf),
        )

    def resume(self, timing: Timing | None = None) -> None:
        """Nothing was polled for a while, or from now on another timing holds."""
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
        """So many polls out of turn were asked for; whether one of them is new."""
        if runs == self._kept.runs:
            return False
        self._kept.runs = runs
        self._kept.due |= dict.fromkeys(self._waiting(), self._clock())
        self.save()
        return True

    def attempt(self, unit: str) -> int:
        """It is asked for; how often that was so since it answered."""
        self._kept.attempts[unit] = self._kept.attempts.get(unit, 0) + 1
        return self._kept.attempts[unit]

    def answered(self, unit: str) -> None:
        """It was asked for, and whoever answered is well."""
        self._kept.attempts.pop(unit, None)

    def polled(self, unit: str, started: float) -> None:
        """It is due again as its timing says."""
        self._kept.due[unit] = self._timing.after(started)

    def put(self, unit: str, due: float) -> None:
        """It is due then, whatever was said before."""
        self._kept.due[unit] = due

    def finish(self, unit: str) -> None:
        """It brought everything that it ever will."""
        self._kept.finished.append(unit)

    def postpone(self, unit: str, until: float) -> None:
        """It is not due before that."""
        self._kept.due[unit] = max(self._kept.due[unit], until)

    def save(self) -> None:
        """Keep it."""
        write_atomically(self._path, msgspec.json.encode(self._kept))

    def _waiting(self) -> list[str]:
        return [unit for unit in self._units if unit not in self._kept.finished]

    def _load(self) -> _Kept | None:
        return load_state(self._path, _Kept, "every unit is due now, also those that were finished")
