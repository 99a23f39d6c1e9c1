"""What goes wrong in a test, and when."""

from collections.abc import Sequence
from enum import Flag, auto
from random import Random
from typing import Any

from millrace.processor.errors import Permanent, Transient, Unknown


class Crash(BaseException):
    """The process is killed here."""


class Weather(Flag):
    """What may happen for a while. All at once would hide what takes many turns to build up."""

    CALM = 0
    FAILURES = auto()
    CRASHES = auto()
    REBALANCES = auto()
    SLOW_WRITES = auto()
    STRANGE = auto()


class Chance:
    """Decides what goes wrong; nothing does while it has nothing to decide by.

    It is a generator with a drawn seed: to draw every decision would be a hundred times slower.
    """

    def __init__(self) -> None:
        self.random: Random | None = None
        self.weather = Weather.CALM

    def one_of(self, *choices: Any) -> Any:
        """One of these; the first when all is well."""
        return self.random.choice(choices) if self.random else choices[0]

    def often(self) -> bool:
        """Whether something happens that always does when all is well."""
        return bool(self.one_of(True, False))

    def seldom(self, kind: Weather) -> bool:
        """Whether something happens that may in this weather."""
        return bool(kind & self.weather) and bool(self.one_of(False, False, False, True))

    def fault(self, *, permanent: bool = False) -> None:
        """Raise something sometimes."""
        if self.seldom(Weather.FAILURES):
            raise self.one_of(away, strange, refused if permanent else away)()
        if self.seldom(Weather.CRASHES):
            raise Crash

    def part(self, items: Sequence[Any]) -> Sequence[Any]:
        """Some of these."""
        return [item for item in items if self.often()]


def away() -> Transient:
    return Transient("away")


def strange() -> Unknown:
    return Unknown("strange")


def refused() -> Permanent:
    return Permanent("refused")
